"""What scikit-learn sees: the estimator, its parameters, its inputs and its fitted attributes."""
