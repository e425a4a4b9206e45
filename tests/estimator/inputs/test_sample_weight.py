"""sample_weight: zero leaves a row out, weights are repetitions, and every estimate counts them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.data import DatasetSource
from noisyflywheel.data.lazy import LazyRows
from noisyflywheel.estimator.inputs.sample_weight import check_sample_weight, of_mean_one, weighted_rows

pytestmark = pytest.mark.usefixtures("quick_folds")

X, Y = load_digits(return_X_y=True)


def net():
    return NeuralNetClassifier(
        MLP, module__hidden=(16,), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.003, train_split=None
    )


QUICK = {"n_warmup_epochs": 5, "n_cycles": 5, "random_state": 0}


def test_weights_that_are_all_the_same_change_nothing():
    plain = FlywheelClassifier(**QUICK).fit(X[:300], Y[:300])
    weighted = FlywheelClassifier(**QUICK).fit(X[:300], Y[:300], sample_weight=np.full(300, 0.3))
    assert_array_equal(plain.predict_proba(X), weighted.predict_proba(X))
    assert_array_equal(plain.clean_proba_, weighted.clean_proba_)


def test_only_the_ratios_of_weights_matter():
    weights = np.random.default_rng(0).uniform(0.5, 2, 300)
    one, ten = (FlywheelClassifier(**QUICK).fit(X[:300], Y[:300], sample_weight=weights * c) for c in (1, 8.0))
    assert_allclose(one.predict_proba(X), ten.predict_proba(X), rtol=1e-9)


class Once:
    """An array on disk that notes the rows it is asked for."""

    shape, dtype = (200, 64), X.dtype

    def __init__(self):
        self.asked = []

    def take(self, rows):
        self.asked.append(len(rows))
        return X[rows]


def test_few_rows_on_disk_are_read_many_at_once_and_by_no_worker():
    """They were read one by one, and where that took long by forked workers, which handles of files do not survive."""
    found = weighted_rows(LazyRows(Once()), Y[:200], np.r_[np.ones(60), np.zeros(140)])
    source = DatasetSource(found.rows, torch.device("cpu"))
    everything = source.take(torch.arange(200))
    assert found.rows.dataset.array.asked == [60, 200]
    assert not source.dataset.takes_workers
    in_memory = weighted_rows(torch.from_numpy(X[:200]).float(), Y[:200], np.r_[np.ones(60), np.zeros(140)])
    assert torch.equal(everything, in_memory.rows)
    assert_array_equal(found.position, in_memory.position)


@pytest.mark.parametrize("scale", [1e308, 1e300, 1.0, 1e-30, 1e-300])
def test_weights_may_be_as_large_and_small_as_numbers_are(scale):
    """Their sum may be infinite, and no integer may be as large; ordinary ones come out as by the plain form."""
    weights = np.random.default_rng(0).uniform(0.5, 1, 200)
    weights[::7] = 0
    found = weighted_rows(torch.zeros(200, 2), Y[:200], weights * scale).weights
    assert found[found > 0].mean() == pytest.approx(1) and (found[::7] == 0).all()
    assert_allclose(found, weights / weights[weights > 0].mean(), rtol=1e-12)
    assert_array_equal(of_mean_one(weights), weights / weights[weights > 0].mean())


@pytest.mark.parametrize("scale", [1e300, 1.0, 1e-200])
def test_weights_that_float32_does_not_hold_are_0(scale):
    """Rows counted, and a fold could hold all rows that were trained on: the forest that weighs columns met none."""
    codes, weights = np.array([0, 1, 0, 1]), np.array([1, 0.5, 1e-50, 1e-30]) * scale
    assert_array_equal(check_sample_weight(weights, codes), weights * [1, 1, 0, 1])
    with pytest.raises(ValueError, match="rows of fewer than 2 classes with a weight above 0"):
        check_sample_weight(np.array([1, 1e-50, 1, 0]), codes)


def test_rows_of_weight_0_take_no_part_and_are_judged():
    """The fit is that of the other rows, bit by bit; wrong labels among the rest are found."""
    given = Y[:400].copy()
    given[300:350] = (given[300:350] + 1) % 10
    weights = np.r_[np.random.default_rng(0).uniform(0.5, 2, 300), np.zeros(100)]
    alone = FlywheelClassifier(**QUICK).fit(X[:300], given[:300], sample_weight=weights[:300])
    both = FlywheelClassifier(**QUICK).fit(X[:400], given, sample_weight=weights)
    assert_allclose(both.predict_proba(X), alone.predict_proba(X), rtol=1e-6)
    assert_allclose(both.transition_matrix_, alone.transition_matrix_, rtol=1e-6)
    assert both.label_quality_.shape == (400,)
    assert both.label_quality_[300:350].mean() < 0.2 < 0.8 < both.label_quality_[350:].mean()


def test_weights_are_repetitions():
    """Two overlapping classes; the rows of one count four times: as weights, and to the last bit as copies."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    rows, test = (rng.normal(size=(400, 2)) + y[:, None] for _ in range(2))
    counts = np.where(y == 1, 4, 1)
    repeated = np.repeat(np.arange(400), counts)
    clf = FlywheelClassifier(net(), n_warmup_epochs=25, n_cycles=10, guard=False, random_state=0, cr_weight=0.0)
    weights, copies = clone(clf).fit(rows, y, sample_weight=counts), clone(clf).fit(rows[repeated], y[repeated])
    assert_array_equal(copies.predict_proba(test), weights.predict_proba(test))
    assert_array_equal(copies.clean_proba_, weights.clean_proba_[repeated])
    plain = clone(clf).fit(rows, y)
    assert weights.predict(test).mean() > plain.predict(test).mean() + 0.15


def test_gamma_and_matrices_count_the_weights():
    """Two kinds of labels for the same clusters: those with the larger weight have no errors."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    rows = 3 * np.eye(3)[y] + rng.normal(size=(600, 3)) * 0.3
    given = y.copy()
    given[:300] = (given[:300] + (rng.random(300) < 0.4)) % 3
    weights = np.r_[np.full(300, 0.1), np.full(300, 1.9)]
    short = {"random_state": 0, "n_warmup_epochs": 8, "n_cycles": 5, "n_folds": 1}
    plain = FlywheelClassifier(**short).fit(rows, given)
    weighted = FlywheelClassifier(**short).fit(rows, given, sample_weight=weights)
    assert np.diag(plain.transition_matrix_).mean() < 0.85
    assert np.diag(weighted.transition_matrix_).mean() > 0.95


def test_small_sets_neither_order_nor_repetition_matter():
    rng = np.random.default_rng(0)
    rows, labels, counts = rng.normal(size=(20, 3)).astype(np.float32), rng.integers(0, 2, 20), rng.integers(0, 4, 20)
    params = {"n_warmup_epochs": 2, "n_cycles": 2, "random_state": 0}
    weighted = FlywheelClassifier(**params).fit(rows, labels, sample_weight=counts)
    index = np.repeat(np.arange(20), counts)
    copies = FlywheelClassifier(**params).fit(rows[index], labels[index])
    assert_array_equal(weighted.predict_proba(rows), copies.predict_proba(rows))
    present, first = np.unique(index, return_index=True)
    assert_array_equal(weighted.label_quality_[present], copies.label_quality_[first])
    assert_allclose(weighted.clean_proba_[present], copies.clean_proba_[first], rtol=1e-12)
    assert weighted.clean_rate_ == pytest.approx(copies.clean_rate_, rel=1e-12)
    order = rng.permutation(20)
    turned = FlywheelClassifier(**params).fit(rows[order], labels[order])
    straight = FlywheelClassifier(**params).fit(rows, labels)
    assert_array_equal(turned.label_quality_, straight.label_quality_[order])


def test_repetitions_of_all_rows_alike_are_repetitions():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2
    params = {"n_warmup_epochs": 2, "n_cycles": 2, "random_state": 0}
    weighted = FlywheelClassifier(**params).fit(rows, labels, sample_weight=np.full(20, 3))
    copies = FlywheelClassifier(**params).fit(rows.repeat(3, axis=0), labels.repeat(3))
    assert_array_equal(weighted.predict_proba(rows), copies.predict_proba(rows))
    assert_array_equal(weighted.label_quality_, copies.label_quality_[::3])
    assert check_sample_weight(np.full(51, 2), np.arange(51) % 2) is None
    assert check_sample_weight(np.ones(20), labels) is None


def test_how_rows_are_encoded_is_learnt_from_each_once_whatever_its_weight():
    rng = np.random.default_rng(0)
    rows, labels, counts = rng.normal(size=(40, 3)), np.arange(40) % 2, rng.integers(0, 4, 40)
    rows[::7, 0] = np.nan
    params = {"n_warmup_epochs": 1, "n_cycles": 1, "random_state": 0}
    weighted = FlywheelClassifier(**params).fit(rows, labels, sample_weight=counts)
    assert weighted.input_features_.equals(FlywheelClassifier(**params).fit(rows, labels).input_features_)


def test_weighted_rows_by_hand():
    rows = torch.tensor([[2.0], [1.0], [3.0]])
    data = weighted_rows(rows, np.array([0, 1, 1]), np.array([2.0, 0.0, 1.0]))
    assert data.rows.squeeze(1).tolist() == [2, 2, 3, 1] and data.codes.tolist() == [0, 0, 1, 1]
    assert data.weights.tolist() == [1, 1, 1, 0] and data.position.tolist() == [0, 3, 2]
    data = weighted_rows(rows, np.array([0, 1, 1]), np.array([0.5, 0.0, 1.5]))
    assert data.weights.tolist() == [0.5, 0, 1.5] and data.position is None


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 1.0], r"sample_weight.shape == \(2,\), expected \(4,\)"),
        ([1.0, 1.0, -1.0, 1.0], "Negative values in data passed to `sample_weight`"),
        ([1.0, np.nan, 1.0, 1.0], "Input sample_weight contains NaN"),
        (np.nan, "Input sample_weight contains NaN"),
        (np.inf, "Input sample_weight contains infinity"),
        ([1.0, 1.0, 0.0, 0.0], "sample_weight leaves rows of fewer than 2 classes"),
    ],
)
def test_weights_that_cannot_be(weights, message):
    with pytest.raises(ValueError, match=message):
        check_sample_weight(weights, np.array([0, 0, 1, 1]))


@pytest.mark.parametrize("form", [{}, {"n_folds": 1}], ids=str)
def test_rows_of_weight_0_have_no_say_in_what_is_said_of_the_others(form):
    given = Y[:300].copy()
    given[::5] = (given[::5] + 1) % 10
    given[200:] = np.random.default_rng(0).integers(0, 10, 100)
    weights = np.r_[np.ones(200), np.zeros(100)]
    params = {"n_warmup_epochs": 2, "n_cycles": 2, "random_state": 0} | form
    alone = FlywheelClassifier(**params).fit(X[:200], given[:200])
    both = FlywheelClassifier(**params).fit(X[:300], given, sample_weight=weights)
    assert_allclose(both.clean_proba_[:200], alone.clean_proba_, atol=1e-6)
    assert both.clean_rate_ == pytest.approx(alone.clean_rate_, abs=1e-6)


def test_what_is_said_of_rows_of_weight_0_with_folds_is_what_is_predicted():
    weights = np.where(np.arange(300) % 3, 1.0, 0.0)
    given = Y[:300].copy()
    given[::4] = (given[::4] + 1) % 10
    clf = FlywheelClassifier(n_folds=3, n_warmup_epochs=6, n_cycles=3, random_state=0).fit(X[:300], given, weights)
    assert 0.05 < clf.decisions_.set_index("decision").loc["prediction", "share"] < 0.95  # cycles and warm-up count
    outside = clf.predict_proba(X[:300][weights == 0])
    assert_allclose(clf.get_label_issues()["predicted_confidence"][weights == 0], outside.max(1), rtol=1e-4)
