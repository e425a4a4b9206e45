"""How labels are judged, and how many are wrong."""
