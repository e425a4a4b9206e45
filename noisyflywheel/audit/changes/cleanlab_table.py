"""Issues as cleanlab's table of them, and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from noisyflywheel.audit.rows.identity import label_text
from noisyflywheel.audit.rows.matching import check_is_table, check_issue_columns
from noisyflywheel.audit.rows.truth import suspect_mask

CLEANLAB_COLUMNS = ("is_label_issue", "label_quality", "given_label", "predicted_label")


def to_cleanlab(issues: pd.DataFrame, classes: ArrayLike) -> pd.DataFrame:
    """Issues as `cleanlab.classification.CleanLearning` makes and takes them.

    Parameters
    ----------
    issues : DataFrame of n rows
    classes : array-like of shape (K,)
        Names in the order of cleanlab's codes 0 … K-1.

    Returns
    -------
    table : DataFrame of n rows
        `is_label_issue`, `label_quality`, and as codes `given_label` and `predicted_label`.

    Raises
    ------
    ValueError
        If a column is not there, or a label is not among the classes.
    """
    codes = {label_text(name): code for code, name in enumerate(np.asarray(classes))}
    table = _cleanlab_columns(issues)
    for name in ("given_label", "predicted_label"):
        texts = [label_text(value) for value in issues[name]]
        if unknown := set(texts) - set(codes):
            raise ValueError(f"the {name} {min(unknown)!r} is not among the classes {list(codes)[:5]}")
        table[name] = [codes[text] for text in texts]
    return table


def _cleanlab_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that cleanlab and we share."""
    check_is_table("issues", table)
    check_issue_columns(table, CLEANLAB_COLUMNS)
    return table[list(CLEANLAB_COLUMNS)].assign(is_label_issue=suspect_mask(table))


def from_cleanlab(table: pd.DataFrame, classes: ArrayLike) -> pd.DataFrame:
    """Issues of cleanlab for reports and corrections here.

    Parameters
    ----------
    table : DataFrame of n rows
        `is_label_issue`, `label_quality`, `given_label` and `predicted_label` (codes 0 … K-1).
    classes : array-like of shape (K,)
        Names of the codes.

    Returns
    -------
    issues : DataFrame of n rows
        The columns of `get_label_issues`; the refurbished label is the predicted one, and confidences, which cleanlab
        does not say, are NaN.

    Raises
    ------
    ValueError
        If a column is not there, or a code is none of 0 … K-1.
    """
    names, issues = np.asarray(classes), _cleanlab_columns(table)
    for name in ("given_label", "predicted_label"):
        wrong = ~table[name].isin(range(len(names))).to_numpy()
        if wrong.any():
            raise ValueError(f"the {name} {table[name].iloc[wrong.argmax()]} is no code of {len(names)} classes")
        issues[name] = names[table[name].to_numpy(dtype=np.intp)]
    issues.insert(4, "predicted_confidence", np.nan)
    return issues.assign(refurbished_label=issues["predicted_label"], refurbished_confidence=np.nan)
