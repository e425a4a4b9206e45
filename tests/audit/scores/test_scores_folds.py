import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GroupKFold, KFold, PredefinedSplit, StratifiedGroupKFold, StratifiedKFold

from noisyflywheel.audit import cross_val_audit
from noisyflywheel.audit.scores.folds import (
    CopiesTogether,
    check_groups,
    folds_among,
    folds_of,
    shuffled_folds,
    sortable,
)
from noisyflywheel.exceptions import FlywheelWarning

Y = np.array(["a", "b", "a", "b", "a", "b", "c"])
X = np.zeros((7, 1))


def test_the_folds_of_a_splitter():
    folds = folds_of(KFold(3), X, Y, None)
    assert [test.tolist() for _, test in folds] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [train.tolist() for train, _ in folds] == [[3, 4, 5, 6], [0, 1, 2, 5, 6], [0, 1, 2, 3, 4]]


def test_stratified_folds_have_all_classes_and_groups_stay_together():
    folds = folds_of(StratifiedKFold(3), X[:6], Y[:6], None)
    assert [sorted(Y[test]) for _, test in folds] == [["a", "b"]] * 3
    groups = [0, 1, 0, 1, 2, 2]
    assert sorted(test.tolist() for _, test in folds_of(GroupKFold(3), X[:6], Y[:6], groups)) == [
        [0, 2],
        [1, 3],
        [4, 5],
    ]
    with pytest.raises(ValueError, match="cv asks for 4 folds, and groups has 3 groups"):
        folds_of(GroupKFold(4), X[:6], Y[:6], groups)


@pytest.mark.parametrize("folds", [[0, 1, -1, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1]])
def test_a_row_that_is_never_held_out_is_an_error(folds):
    with pytest.raises(ValueError, match="cv must hold out every row once"):
        folds_of(PredefinedSplit(folds), X, Y, None)


@pytest.mark.parametrize("splitter", [StratifiedKFold, StratifiedGroupKFold])
def test_the_rarest_class_is_named_where_it_is_too_rare_for_stratified_folds(splitter):
    groups = np.arange(8) if splitter is StratifiedGroupKFold else None
    seven, six = (None, None) if groups is None else (groups[:7], groups[:6])
    with pytest.warns(FlywheelWarning, match="Class 'c' has 1 row, fewer than the 2 folds: look at its labels by hand"):
        folds_of(splitter(2), X, Y, seven)
    with pytest.warns(FlywheelWarning, match="Class 'c' has 2 rows, fewer than the 3 folds"):
        folds_of(splitter(3), np.zeros((8, 1)), np.append(Y, "c"), groups)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds_of(splitter(3), X[:6], Y[:6], six)  # as many rows as folds
        folds_of(KFold(2), X, Y, None)


def test_the_warning_points_at_the_call_of_the_audit():
    with pytest.warns(FlywheelWarning) as said:
        cross_val_audit(DummyClassifier(), X, Y, cv=2)
    assert said[0].filename == __file__


@pytest.mark.parametrize("cv", [3, np.int64(3), GroupKFold(3), StratifiedGroupKFold(3)])
def test_fewer_groups_than_folds(cv):
    with pytest.raises(ValueError, match="cv asks for 3 folds, and groups has 2 groups: pass cv=2 or fewer"):
        check_groups(cv, ["p", "q", "p"])
    with pytest.raises(ValueError, match="groups has 1 group: at least two groups are needed to hold one out$"):
        check_groups(cv, ["p", "p", "p"])
    check_groups(cv, ["p", "q", "r"])
    check_groups(cv, None)


def test_other_splitters_may_have_fewer_groups():
    check_groups(KFold(3), ["p", "q", "p"])
    check_groups(None, ["p", "q", "p"])
    check_groups([(np.arange(2), np.arange(1))], ["p"])


FOLD_OF_ROW = np.array([0, 1, 2, 0, 1, 2, 3])
PAIRS = [(np.flatnonzero(FOLD_OF_ROW - k), np.flatnonzero(np.isin(FOLD_OF_ROW, k))) for k in range(4)]


@pytest.mark.parametrize(
    "cv", [PredefinedSplit(FOLD_OF_ROW), PAIRS, iter(PAIRS), [(list(a), list(b)) for a, b in PAIRS]]
)
def test_folds_of_all_rows_as_folds_of_some(cv):
    found = folds_among(cv, np.array([1, 2, 4, 5]), 7)  # nothing is left of folds 0 and 3
    assert [(train.tolist(), test.tolist()) for train, test in found] == [([1, 3], [0, 2]), ([0, 2], [1, 3])]


@pytest.mark.parametrize("cv", [None, 3, np.int64(3), KFold(2), StratifiedKFold(2)])
def test_what_splits_the_rows_it_is_given_stays(cv):
    assert folds_among(cv, np.arange(3), 7) is cv


def test_folds_stay_where_no_row_is_left_out():
    assert folds_among(PAIRS, np.arange(7), 7) is PAIRS


def test_a_fold_of_a_row_that_is_not_there():
    with pytest.raises(ValueError, match="cv must number the rows of X: it names row 6 of 6, counted from 0"):
        folds_among(PAIRS, np.arange(3), 6)
    with pytest.raises(ValueError, match="it names row 6 of 6"):
        folds_among([([0, 1], [2, 6])], np.arange(3), 6)
    assert folds_among([([], [])], np.arange(3), 6) == []
    assert [test.tolist() for _, test in folds_among([([], [5])], np.array([5]), 6)] == [[0]]
    assert [test.tolist() for _, test in folds_among([([], [0])], np.array([0]), 2)] == [[0]]


def test_copies_of_a_row_are_in_one_fold_and_classes_in_all():
    first = np.r_[np.arange(30), np.arange(20)]
    y = first % 2
    folds = list(CopiesTogether(first, 3, random_state=0).split(None, y))
    assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(50))
    for train, test in folds:
        assert not set(first[train]) & set(first[test])
        assert np.bincount(y[np.unique(first[test])]).tolist() == [5, 5]
    other = CopiesTogether(first, 3, random_state=1).split(None, y)
    assert [test.tolist() for _, test in other] != [test.tolist() for _, test in folds]


def test_what_a_number_of_folds_stands_for():
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = np.arange(40) % 2
    assert type(shuffled_folds(3, X, y, None, 0)) is StratifiedKFold
    assert type(shuffled_folds(3, X, y, np.arange(40), 0)) is StratifiedGroupKFold
    twice, labels = np.concatenate([X, X]), np.tile(y, 2)
    found = shuffled_folds(20, twice, labels, None, 0)
    assert isinstance(found, CopiesTogether) and found.get_n_splits() == 20
    assert_array_equal(found.first, np.tile(np.arange(40), 2))
    assert type(shuffled_folds(21, twice, labels, None, 0)) is StratifiedKFold
    assert type(shuffled_folds(3, twice, labels, np.arange(80), 0)) is StratifiedGroupKFold


def test_groups_of_several_types_become_codes():
    mixed = np.array(["p", None, 1, "p"], dtype=object)
    np.testing.assert_array_equal(sortable(mixed), [0, -1, 1, 0])
    np.testing.assert_array_equal(sortable(mixed[:2]), [0, -1])
    for groups in (np.array(["p", "q"], dtype=object), np.array([2, 1])):
        assert sortable(groups) is groups
