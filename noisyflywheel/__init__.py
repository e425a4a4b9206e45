"""Learning with noisy labels: the LNL-flywheel as a scikit-learn classifier."""

from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.exceptions import CheckpointError, DivergenceError, FlywheelWarning

__all__ = ["CheckpointError", "DivergenceError", "FlywheelClassifier", "FlywheelWarning"]
__version__ = "0.1.0"
