"""What a run has beside its cycles: guard, history, checkpoints, progress bar."""
