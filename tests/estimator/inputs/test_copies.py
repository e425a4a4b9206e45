"""Copies of a row, its label included, are one row that counts as much as they do."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.inputs import copies
from noisyflywheel.estimator.inputs.copies import find_copies
from noisyflywheel.estimator.inputs.sample_weight import weighted_rows
from noisyflywheel.noise import symmetric

X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
X[[5, 8, 13, 17]], X[11] = X[1], X[4]
Y = np.arange(40) % 3
Y[[5, 8, 13, 17]], Y[11] = Y[1], Y[4]
FIRST = np.arange(40)
FIRST[[5, 8, 13, 17]], FIRST[11] = 1, 4


def test_each_copy_points_to_the_first():
    assert_array_equal(find_copies(X, Y), FIRST)
    assert find_copies(X[:5], Y[:5]) is None


def test_less_than_ten_pairs_show_nothing():
    pairs = [row for row in range(40) if row not in (17, 11)]  # six pairs are left
    assert find_copies(X[pairs], Y[pairs]) is None
    pairs = [row for row in range(40) if row != 11]  # ten
    assert_array_equal(find_copies(X[pairs], Y[pairs])[4:6], [4, 1])


def test_zeros_and_missing_cells_of_both_signs_are_equal():
    x = X.copy()
    x[FIRST == 1, 0] = [0.0, -0.0, 0.0, -0.0, 0.0]
    assert_array_equal(find_copies(x, Y), FIRST)
    x[FIRST == 1, 0] = np.array([0x7FC00000, 0xFFC00000, 0x7FC00001, 0xFFC00000, 0x7FC00000], np.uint32).view(
        np.float32
    )
    assert np.isnan(x).sum() == 5
    assert_array_equal(find_copies(x, Y), FIRST)


def test_rows_of_weight_0_are_copies_of_none():
    x, y = np.random.default_rng(0).normal(size=(150, 2)), np.arange(150) % 3
    x[100:] = x[:50]
    y[100:] = y[:50]
    weights = np.where(np.arange(150) % 50 < 10, 0.0, 1.5)
    found = weighted_rows(torch.from_numpy(x), y, weights)
    alone = weighted_rows(torch.from_numpy(x[weights > 0]), y[weights > 0], None)
    assert len(found.rows) == 110
    assert torch.equal(found.rows[found.weights > 0], alone.rows)
    assert_array_equal(found.weights[found.weights > 0], alone.weights)
    assert_array_equal(found.rows[torch.from_numpy(found.position)], x)
    assert_array_equal(found.codes[found.position], y)


def test_rows_of_equal_hash_that_differ_are_no_copies(monkeypatch):
    """Of one hash only the first row is known."""
    monkeypatch.setattr(copies, "_hashes", lambda x: np.isin(FIRST, [1, 4, 6]).astype(np.uint64))
    assert_array_equal(find_copies(X, Y), np.where(FIRST == 1, 1, np.arange(40)))


def test_groups_with_several_labels_stay_apart_and_many_of_them_show_that_rows_were_looked_at():
    y = Y.copy()
    y[11] += 1
    assert find_copies(X, y) is None  # one group of two has one label
    x, y = np.repeat(np.random.default_rng(0).normal(size=(50, 2)), 2, axis=0), np.repeat(np.arange(50) % 3, 2)
    y[1:10:2] += 1
    first = np.where(np.arange(100) < 10, np.arange(100), np.arange(100) // 2 * 2)
    assert_array_equal(find_copies(x, y), first)
    y[11] += 1  # the sixth of fifty
    assert find_copies(x, y) is None


def test_columns_of_few_values_make_equal_rows_by_chance():
    rng = np.random.default_rng(0)
    answers = rng.integers(2, size=(300, 8))
    assert len(np.unique(answers, axis=0)) < 250
    assert find_copies(answers, np.zeros(300, dtype=int)) is None
    wide = rng.integers(2, size=(300, 40))
    doubled = np.concatenate([wide, wide])
    found = find_copies(doubled, np.zeros(600, dtype=int))
    assert_array_equal(found, np.tile(np.arange(300), 2))


@pytest.mark.parametrize(("n_times", "are_copies"), [(10, True), (11, False)])
def test_a_row_that_is_there_more_often_is_a_kind_of_rows(n_times, are_copies):
    x, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3
    x[60 - n_times :], y[60 - n_times :] = 9.0, 0
    x[1], y[1] = x[2], y[2]
    found = find_copies(np.concatenate([x, x[30:45]]), np.concatenate([y, y[30:45]]))
    assert found[59] == (60 - n_times if are_copies else 59)
    assert_array_equal(found[[2, 60, 74]], [1, 30, 44])


def test_a_class_of_few_patterns_is_told_by_their_number():
    """Held out together, all rows of one pattern would be unknown to what judges them."""
    x, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 2
    patterns = np.array([[9.0, 9.0], [9.0, 8.0], [8.0, 9.0]])
    rows, labels = np.concatenate([x, x, np.repeat(patterns, 8, axis=0)]), np.r_[y, y, np.full(24, 2)]
    assert_array_equal(find_copies(rows, labels), np.r_[np.arange(60), np.arange(60), np.arange(120, 144)])
    ten = np.random.default_rng(1).normal(size=(10, 2))
    rows, labels = np.concatenate([x, ten, ten]), np.r_[y, np.full(20, 2)]
    assert_array_equal(find_copies(rows, labels), np.r_[np.arange(70), np.arange(60, 70)])
    assert find_copies(rows[1:], labels[1:]) is not None
    assert find_copies(np.delete(rows, [60, 70], 0), np.delete(labels, [60, 70])) is None  # nine


def test_wide_rows_are_asked_in_the_columns_that_vary_most(monkeypatch):
    rng = np.random.default_rng(0)
    words = (rng.random((400, 300)) < 0.003).astype(np.float32)  # many rows have one word or none
    words[:, 250] = np.arange(400) % 2
    assert find_copies(words, np.zeros(400, dtype=int)) is None
    words[:, 299] = rng.normal(size=400)
    twice = np.concatenate([words, words])
    monkeypatch.setattr(copies, "MOST_COLUMNS", 1)
    assert_array_equal(find_copies(twice, np.zeros(800, dtype=int)), np.tile(np.arange(400), 2))


def test_real_sets():
    for load in (load_digits, load_breast_cancer, load_wine):
        x, y = load(return_X_y=True)
        assert find_copies(x, y) is None


def test_blocks_do_not_matter(monkeypatch):
    expected = find_copies(X, Y)
    monkeypatch.setattr(copies, "NUMBERS_A_BLOCK", 5)
    assert_array_equal(find_copies(X, Y), expected)
    monkeypatch.setattr(copies, "MOST_NUMBERS", 79)
    assert find_copies(X, Y) is None


@pytest.fixture(scope="module")
def wine():
    x, y = load_wine(return_X_y=True)
    return x, y, symmetric(y, 0.3, random_state=0)


def test_a_set_twice_is_fitted_as_once(wine):
    x, _, given = wine
    clf = FlywheelClassifier(n_warmup_epochs=3, n_cycles=2, random_state=0)
    once = clone(clf).fit(x, given)
    twice = clone(clf).fit(np.concatenate([x, x]), np.tile(given, 2))
    assert_array_equal(twice.predict_proba(x), once.predict_proba(x))
    assert_array_equal(twice.clean_proba_, np.tile(once.clean_proba_, 2))
    assert_array_equal(twice.label_quality_, np.tile(once.label_quality_, 2))
    row = twice.decisions_.iloc[0]
    assert row[["decision", "chosen"]].tolist() == ["copies", "one row each"]
    assert row.reason.startswith("178 rows have the features and the label of another row")
    assert "copies" not in once.decisions_.decision.to_list()


def test_wrong_labels_of_copies_are_found(wine):
    """Of 38 wrong ones among the copies 1 was."""
    x, y, given = wine
    some = np.random.default_rng(1).permutation(178)[:60]
    rows = np.concatenate([np.arange(178), some])
    clf = FlywheelClassifier(random_state=0).fit(pd.DataFrame(x[rows]), given[rows])
    wrong, issues = (given != y)[rows], clf.get_label_issues()
    found = issues.is_label_issue.to_numpy() & wrong
    assert found[178:].sum() >= 0.9 * wrong[178:].sum() > 10
    assert issues.is_label_issue.sum() < 1.15 * wrong.sum()
    assert_array_equal(clf.clean_proba_[178:], clf.clean_proba_[some])


def test_a_small_set_twice_is_fitted_as_once(wine):
    x, _, given = (part[::4] for part in wine)
    clf = FlywheelClassifier(n_warmup_epochs=3, n_cycles=2, random_state=0)
    once, twice = clone(clf).fit(x, given), clone(clf).fit(np.concatenate([x, x]), np.tile(given, 2))
    weighted = clone(clf).fit(x, given, sample_weight=np.full(45, 2))
    for other in (twice, weighted):
        assert_array_equal(other.predict_proba(x), once.predict_proba(x))
        assert_array_equal(other.clean_proba_[:45], once.clean_proba_)
    assert_array_equal(twice.clean_proba_[45:], once.clean_proba_)


def test_rows_without_a_measurement_are_a_class():
    x, y = load_wine(return_X_y=True)
    rows, labels = np.concatenate([x, np.zeros((12, 13))]), np.r_[y, np.full(12, 3)]
    blank = FlywheelClassifier(n_cycles=4, random_state=0).fit(rows, labels)
    assert not blank.get_label_issues().is_label_issue[178:].any()


def test_a_checkpoint_in_which_copies_were_rows_is_not_gone_on_from(wine, tmp_path, monkeypatch):
    x, y = np.concatenate([wine[0]] * 2), np.tile(wine[2], 2)
    clf = FlywheelClassifier(n_warmup_epochs=2, n_cycles=2, random_state=0)
    expected = clone(clf).fit(x, y).predict_proba(x)
    clf.set_params(checkpoint_dir=tmp_path)
    with monkeypatch.context() as before:
        before.setattr(copies, "MOST_NUMBERS", 0)
        clone(clf).fit(x, y)
    assert_array_equal(clone(clf).fit(x, y).predict_proba(x), expected)


def test_pictures(wine):
    images = load_digits().images[:150].astype(np.uint8)
    y = load_digits().target[:150]
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, guard=False, random_state=0)
    once = clone(clf).fit(images, y)
    twice = clone(clf).fit(np.concatenate([images, images]), np.tile(y, 2))
    assert_array_equal(twice.predict_proba(images), once.predict_proba(images))
