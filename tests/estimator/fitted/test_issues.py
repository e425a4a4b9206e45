import numpy as np
import pandas as pd
import pytest
from four_rows import CLASSES, CLEAN, GIVEN, QUALITY, F, Q

from noisyflywheel.estimator.fitted.issues import ISSUE_COLUMNS, label_issues_frame, lowest_quality, n_label_issues


@pytest.fixture
def issues():
    return label_issues_frame(GIVEN, CLASSES, QUALITY, CLEAN, F, Q, index=[10, 10, "x", 3])


def test_n_label_issues_is_the_rounded_sum():
    assert n_label_issues(CLEAN) == 1
    assert n_label_issues(np.ones(5)) == 0
    assert n_label_issues(np.zeros(5)) == 5


def test_lowest_quality_takes_the_earlier_of_equals():
    np.testing.assert_array_equal(lowest_quality([0.5, 0.2, 0.2, 0.2], 2), [False, True, True, False])
    assert not lowest_quality([0.5, 0.2], 0).any()


def test_issues_by_hand(issues):
    assert tuple(issues.columns) == ISSUE_COLUMNS
    assert list(issues.index) == [10, 10, "x", 3]
    assert list(issues.is_label_issue) == [False, True, False, False]
    assert list(issues.predicted_label) == ["cat", "dog", "cat", "owl"]
    np.testing.assert_allclose(issues.predicted_confidence, [0.7, 0.8, 0.6, 0.9])
    assert list(issues.refurbished_label) == ["cat", "dog", "cat", "owl"]
    np.testing.assert_allclose(issues.refurbished_confidence, [1, 1, 0.5, 1])


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool, str])
def test_labels_keep_the_type_of_the_caller(dtype):
    classes = np.array([0, 1]).astype(dtype)
    frame = label_issues_frame(classes, classes, [0.1, 0.9], [0.5, 0.5], np.eye(2), np.eye(2)[::-1])
    assert frame.is_label_issue.dtype == bool
    for column in ("given_label", "predicted_label", "refurbished_label"):
        assert frame[column].dtype == pd.Series(classes).dtype


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="expected 4 scores"):
        label_issues_frame(GIVEN, CLASSES, QUALITY, CLEAN, F[:, :2], Q)
