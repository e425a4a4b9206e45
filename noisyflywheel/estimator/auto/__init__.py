"""What every "auto" becomes."""
