"""Learning with noisy labels: the LNL-flywheel as a scikit-learn classifier."""

from noisyflywheel.classifier import FlywheelClassifier
from noisyflywheel.exceptions import DivergenceError, FlywheelWarning

__all__ = ["DivergenceError", "FlywheelClassifier", "FlywheelWarning"]
__version__ = "0.1.0"
