"""The page with the suspects, and the review in it."""
