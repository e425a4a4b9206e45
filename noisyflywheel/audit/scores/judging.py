"""One classifier, fitted on all rows, and the verdicts on their labels."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from noisyflywheel.audit.scores.cross_val import cross_val_audit
from noisyflywheel.audit.scores.folds import check_groups
from noisyflywheel.audit.scores.learners import check_judges, last_step
from noisyflywheel.audit.scores.progress import counted
from noisyflywheel.audit.scores.relearn import judge_known


def judge_rows(
    X: NDArray[Any],
    labels: pd.Series,
    classifier: Any,
    cv: Any = None,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
    known: pd.DataFrame | None = None,
    progress: bool | None = False,
    checkpoint: Path | None = None,
) -> tuple[Any, list[str]]:
    """Fit a classifier on all rows and judge their labels, by it or by cross-validation.

    With `known` labels (`place`, `label` and `drop`, one line per decided row) as `relearn` does. `progress` is shown
    where it can be if None. A `checkpoint` folder lets a stopped audit go on; the fitted classifier forgets it.

    Returns
    -------
    judged : the classifier itself or the last step of a pipeline, a CrossValAudit, or with known labels a RelearntAudit
    said : list of str
        Warnings of the fits, each once; they are still given.
    """
    check_judges(classifier, cv)
    check_groups(cv, groups)
    shown = contextlib.nullcontext() if progress is False else counted(classifier, 1 + n_folds(cv), progress)
    with warnings.catch_warnings(record=True) as caught, shown:
        warnings.simplefilter("always")
        judged = _judged(X, labels, classifier, cv, groups, random_state, known, checkpoint)
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    told = [warning for warning in caught if issubclass(warning.category, UserWarning | RuntimeWarning)]
    return judged, list(dict.fromkeys(" ".join(str(warning.message).split()) for warning in told))


def _judged(
    X: NDArray[Any],
    labels: pd.Series,
    classifier: Any,
    cv: Any,
    groups: ArrayLike | None,
    random_state: int | None,
    known: pd.DataFrame | None,
    checkpoint: Path | None,
) -> Any:
    """The first of what `judge_rows` returns."""
    if known is not None:
        return judge_known(classifier, X, labels, known, cv=cv, groups=groups, random_state=random_state)
    with checkpoints_in(classifier, checkpoint):
        fitted = last_step(classifier.fit(X, labels))
    if cv is None:
        return fitted
    quiet = clone(classifier)
    if "verbose" in last_step(quiet).get_params(deep=False):  # of a pipeline it has to be a bool
        last_step(quiet).set_params(verbose=0)
    return cross_val_audit(quiet, X, labels, cv=cv, groups=groups, random_state=random_state, fold_dir=checkpoint)


def n_folds(cv: Any) -> int:
    """Fits of a cross-validation, as far as they are known."""
    return int(cv if isinstance(cv, Integral) else getattr(cv, "n_splits", 0))


@contextlib.contextmanager
def checkpoints_in(classifier: Any, folder: Path | None) -> Iterator[None]:
    """Let a fit, of a pipeline that of its last step, leave its checkpoints in a folder; then all is as before."""
    last = last_step(classifier)
    if folder is None or "checkpoint_dir" not in last.get_params(deep=False):
        yield
        return
    before = last.checkpoint_dir
    last.set_params(checkpoint_dir=folder)
    try:
        yield
    finally:
        last.set_params(checkpoint_dir=before)
