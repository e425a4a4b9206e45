"""Plots of an audit: scikit-learn Display classes, each with `from_estimator`."""

from noisyflywheel.plot.clean_proba import CleanProbaDisplay
from noisyflywheel.plot.history import HistoryDisplay
from noisyflywheel.plot.issues import LabelIssuesDisplay
from noisyflywheel.plot.transition import TransitionMatrixDisplay

__all__ = ["CleanProbaDisplay", "HistoryDisplay", "LabelIssuesDisplay", "TransitionMatrixDisplay"]
