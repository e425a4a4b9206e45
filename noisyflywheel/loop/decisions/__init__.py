"""What is decided by given labels of rows that were not trained on."""
