"""What is there only with folds."""
