"""Weights of columns: what they favour, and which rows they come from."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier

from noisyflywheel.backbones.importance import column_weights

D = 12


def rows(n=400, wrong=0.3, seed=0):
    """Two classes told by the first two columns of twelve, some labels wrong."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    X = rng.normal(size=(n, D))
    X[:, :2] += 1.5 * y[:, None]
    given = np.where(rng.random(n) < wrong, 1 - y, y)
    return torch.from_numpy(X).float(), torch.from_numpy(given)


def test_columns_that_tell_of_the_labels_weigh_more_than_all_others():
    x, given = rows()
    weight = column_weights(x, given, torch.ones(len(x)))
    assert weight.shape == (D,) and weight.dtype == torch.float32
    assert weight[:2].min() > 1.5 * weight[2:].max()
    assert float(weight.square().mean()) == pytest.approx(1, abs=1e-5)


def test_weights_by_hand(monkeypatch):
    """Importances (.9, .1, 0, 0) of four columns: roots of 3.6, .4, .1 squared at least; then of mean square 1."""
    monkeypatch.setattr(ExtraTreesClassifier, "fit", lambda forest, *args: vars(forest).update(estimators_=[]))
    shares = np.array([0.9, 0.1, 0.0, 0.0])
    monkeypatch.setattr(ExtraTreesClassifier, "feature_importances_", shares)
    weight = column_weights(torch.zeros(8, 4), torch.zeros(8).long(), torch.ones(8))
    raw = np.array([3.6, 0.4, 0.01, 0.01]) ** 0.5
    np.testing.assert_allclose(weight.numpy(), raw / np.sqrt((raw**2).mean()), rtol=1e-6)
    shares[:] = [0, 0, -1e-17, 0]  # a forest without splits, and what rounding may leave
    np.testing.assert_allclose(column_weights(torch.zeros(8, 4), torch.zeros(8).long(), torch.ones(8)), 1, rtol=1e-6)


@pytest.mark.parametrize("n_columns", [1, 3])
def test_columns_that_tell_nothing_at_all_are_alike(n_columns):
    """Each value is half of each class: no split of any tree is worth anything."""
    x, y = torch.tensor([[0.0], [1.0]]).repeat(30, n_columns), torch.tensor([0, 0, 1, 1]).repeat(15)
    torch.testing.assert_close(column_weights(x, y, torch.ones(60)), torch.ones(n_columns))


def test_one_column_of_very_many_does_not_stand_alone(monkeypatch):
    """It weighs 3, not 10, the root of all importance in units of the mean; the others .1, not 0."""
    monkeypatch.setattr(ExtraTreesClassifier, "fit", lambda forest, *args: vars(forest).update(estimators_=[]))
    monkeypatch.setattr(ExtraTreesClassifier, "feature_importances_", np.eye(1, 100)[0])
    weight = column_weights(torch.zeros(8, 100), torch.zeros(8).long(), torch.ones(8))
    assert float(weight[0] / weight[1]) == pytest.approx(3 / 0.1)


def test_weights_are_the_same_in_any_unit():
    x, y = rows(60)
    given, all_alike = torch.as_tensor(y), torch.ones(60)
    assert torch.equal(column_weights(x * 2.0**-40, given, all_alike), column_weights(x, given, all_alike))


def test_labels_of_many_classes_are_no_mistake():
    """scikit-learn would warn, and a warning is an error here."""
    x, _ = rows(30)
    assert column_weights(x, torch.arange(30) % 20, torch.ones(30)).shape == (D,)


def test_rows_of_weight_zero_say_nothing_and_the_others_count_by_weight(monkeypatch):
    x, given = rows()
    taken = torch.arange(len(x)) % 3 != 0
    other = given.clone()
    other[~taken] = 1 - other[~taken]
    weight = column_weights(x, given, taken.float())
    assert torch.equal(weight, column_weights(x, other, taken.float()))
    assert torch.equal(weight, column_weights(x[taken], given[taken], torch.ones(int(taken.sum()))))
    heavy = torch.where(x[:, 5] > 0, 10.0, 0.1)
    assert not torch.equal(weight, column_weights(x, given, taken * heavy))


@pytest.mark.parametrize(("n", "least"), [(30, 3), (399, 3), (800, 8)])
def test_leaves_hold_three_rows_or_a_hundredth_of_all(n, least, monkeypatch):
    asked = {}
    fit = ExtraTreesClassifier.fit

    def noted(self, *args):
        asked.update(self.get_params())
        return fit(self, *args)

    monkeypatch.setattr(ExtraTreesClassifier, "fit", noted)
    x, given = rows(n)
    weight = column_weights(x, given, torch.ones(n))
    assert asked["min_samples_leaf"] == least and asked["n_estimators"] == 200 and asked["max_features"] == "sqrt"
    assert torch.equal(weight, column_weights(x, given, torch.ones(n)))  # always the same forest
