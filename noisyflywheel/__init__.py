"""Learning with noisy labels: the LNL-flywheel as a scikit-learn classifier."""

__version__ = "0.1.0"
