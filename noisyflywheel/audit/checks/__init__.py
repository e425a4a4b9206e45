"""What is worth knowing before anything is trained."""
