"""Which row is which."""
