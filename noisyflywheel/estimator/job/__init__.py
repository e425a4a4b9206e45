"""What one fit works on and with."""
