"""Tables of mixed columns as numbers."""
