"""What a fit leaves behind, and what it answers."""
