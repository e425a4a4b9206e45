"""What a plot needs of an estimator or audit: refused by name where it is not there."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted


def check_has(estimator: Any, display: str, *names: str) -> None:
    """Refuse what is not fitted yet, or has not the attributes that a display shows.

    Parameters
    ----------
    estimator : what was given to `from_estimator`
    display : str
        Name of its class.
    *names : str
        Of the attributes.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it has not one of the attributes, as a pipeline has none; for cross-validated audits, of the history.
    """
    gone = next((name for name in names if not hasattr(estimator, name)), None)
    if gone is None:
        return
    if hasattr(estimator, "fit"):
        check_is_fitted(estimator)
    advice = "its last step, [-1]" if hasattr(estimator, "steps") else "a fitted FlywheelClassifier"
    raise TypeError(f"{display} shows {gone}, which a {type(estimator).__name__} does not have: pass {advice}")
