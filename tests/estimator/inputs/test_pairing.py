"""Rows of X and y are paired by position, so pandas indices must agree."""

import numpy as np
import pandas as pd
import pytest

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.inputs.labels import check_same_index

pytestmark = pytest.mark.usefixtures("quick_folds")

RNG = np.random.default_rng(0)
Y = np.arange(30) % 3
X = RNG.normal(size=(30, 2)) + Y[:, None]
LABELS = [f"row {i}" for i in range(30)]


def table(index=None):
    return pd.DataFrame(X, columns=["a", "b"], index=index)


def fit(X, y, sample_weight=None):
    return FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, guard=False, random_state=0).fit(X, y, sample_weight)


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (table(), pd.Series(Y, index=LABELS), "row 0 is 0 in X and 'row 0' in y"),
        (table(), pd.Series(Y, index=[*range(29), 77]), r"row 29 is 29 in X and 77 in y.*reset_index\(drop=True\)"),
        (table(LABELS), pd.Series(Y, index=LABELS[::-1]), r"same index labels in another order.*y.loc\[X.index\]"),
        (table([0, 0, *range(2, 30)]), pd.Series(Y, index=[0, *range(2, 30), 0]), "row 1 is 0 in X and 2 in y"),
        (table()["a"].to_frame(), pd.DataFrame({"y": Y}, index=range(1, 31)), "row 0 is 0 in X and 1 in y"),
    ],
)
def test_indices_that_differ_are_an_error(X, y, words):
    with pytest.raises(ValueError, match=words):
        fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (table(LABELS), Y, r"X and sample_weight have the same index labels.*sample_weight.loc\[X.index\]"),
        (X, pd.Series(Y, index=LABELS), "y and sample_weight have the same index labels"),
        (table(), pd.Series(Y), "row 0 is 0 in X and 'row 29' in sample_weight"),
    ],
)
def test_weights_of_another_index_are_an_error(X, y, words):
    with pytest.raises(ValueError, match=words):
        fit(X, y, pd.Series(np.arange(30.0), index=LABELS[::-1]))


def test_equal_indices_and_other_containers_pass():
    check_same_index(table(), pd.Series(Y, index=pd.Index(range(30), name="id")))
    check_same_index(table([1.0] * 30), pd.Series(Y, index=[1] * 30))
    check_same_index(table(LABELS), Y)
    check_same_index(X, pd.Series(Y, index=LABELS))
    check_same_index(table(LABELS), list(Y))


def test_issues_come_back_under_the_common_index():
    issues = fit(table(LABELS), pd.Series(Y, index=LABELS)).get_label_issues()
    assert list(issues.index) == LABELS
    assert list(issues.given_label) == list(Y)
    assert list(fit(X, pd.Series(Y, index=LABELS)).get_label_issues().index) == LABELS
