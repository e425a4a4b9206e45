"""What X, y and sample_weight may be."""
