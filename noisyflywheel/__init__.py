"""Learning with noisy labels: the LNL-flywheel as a scikit-learn classifier.

The classifier and the subpackages are loaded when they are first asked for (PEP 562): ``import noisyflywheel``
itself takes neither torch nor skorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from noisyflywheel.exceptions import CheckpointError, DivergenceError, FlywheelWarning, RanksError, RowReadError

if TYPE_CHECKING:  # what __getattr__ gives, for type checkers and editors
    from noisyflywheel.estimator.classifier import FlywheelClassifier

__all__ = [
    "CheckpointError",
    "DivergenceError",
    "FlywheelClassifier",
    "FlywheelWarning",
    "RanksError",
    "RowReadError",
]
__version__ = "0.1.0"

_SUBMODULES = ("audit", "backbones", "datasets", "em", "losses", "noise", "plot", "recipes", "views")


def __getattr__(name: str) -> Any:
    """Load the classifier or a subpackage on first use."""
    if name == "FlywheelClassifier":
        found = import_module("noisyflywheel.estimator.classifier").FlywheelClassifier
        globals()[name] = found
        return found
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what is loaded and what can be."""
    return sorted({*globals(), *__all__, *_SUBMODULES})
