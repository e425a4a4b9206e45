"""Trees as tensors say what scikit-learn's trees say."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
from torch.testing import assert_close

from noisyflywheel.backbones import trees
from noisyflywheel.backbones.trees import Trees, float32_at_most, grow


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return torch.from_numpy(X).float(), torch.from_numpy(y)


@pytest.fixture(scope="module")
def forests(iris):
    """Two on other rows each; the second one has not seen class 0."""
    x, given = iris
    row = torch.arange(len(given))
    weights = (row % 3 > 0).double(), (given > 0) * (1.0 + row % 2)
    return [grow(x, given, own, 3) for own in weights]


def planted(forests, n_classes=3):
    trees = Trees(n_classes)
    trees.plant([forest.estimators_ for forest in forests], [forest.classes_ for forest in forests])
    return trees


def test_a_tree_by_hand():
    """Up to 2 class 0; up to 5 two rows of class 1 and one of class 0; class 2 above."""
    x, y = np.array([[1.0], [2], [3], [4], [5], [8]]), [0, 0, 1, 1, 0, 2]
    tree = DecisionTreeClassifier(max_leaf_nodes=3, random_state=0).fit(x, y)
    assert tree.get_n_leaves() == 3
    trees = Trees(4)
    trees.plant([[tree]], [np.array([0, 1, 3])])
    found = trees(torch.tensor([[-9.0], [2.4], [2.6], [6.4], [6.6], [99]]))
    two_of_three = [1 / 3, 2 / 3, 0, 0]
    expected = [[1, 0, 0, 0]] * 2 + [two_of_three] * 2 + [[0, 0, 0, 1.0]] * 2
    assert_close(found, torch.tensor([expected]))
    assert int(trees.n_levels) == 2 and len(trees) == 1


def test_forests_are_those_of_scikit_learn(iris, forests):
    x, _ = iris
    found = planted(forests)(x)
    assert found.shape == (2, 150, 3)
    for prob, forest in zip(found, forests, strict=True):
        expected = np.zeros((150, 3))
        expected[:, forest.classes_] = forest.predict_proba(x.numpy())
        assert_close(prob.double(), torch.from_numpy(expected), atol=1e-6, rtol=0)
    assert not found[1, :, 0].any()


def test_weights_count(iris, forests):
    """As copies of a row would, but that these are drawn apart: a class of great weight takes leaves over."""
    x, given = iris
    heavy = grow(x, given, torch.where(given == 2, 100.0, 1.0), 3)
    assert (heavy.predict(x.numpy()) == 2).sum() > (given == 2).sum()
    assert max(tree.get_n_leaves() for tree in heavy.estimators_) < 75  # a leaf has two rows


@pytest.mark.parametrize(("n_classes", "least"), [(2, 3), (5, 5), (30_000, 1000)])
def test_leaves_of_many_rows_and_classes_are_larger(monkeypatch, n_classes, least):
    """Of 1,000 rows at most 400 leaves of three, or 1,000 numbers: 200 leaves of five; one leaf."""
    monkeypatch.setattr(trees, "MOST_LEAVES", 400)
    monkeypatch.setattr(trees, "NUMBERS_A_TREE", 1000)
    forest = grow(torch.arange(1000.0)[:, None], torch.arange(1000) % 2, torch.ones(1000), n_classes)
    assert forest.min_samples_leaf == least


def test_a_row_on_a_threshold_goes_where_it_goes_in_scikit_learn():
    """0.1 + 0.2 lies between two float32; the next smaller one stays below it, the next larger one does not."""
    near = np.float32(0.1 + 0.2)
    assert float(near) > 0.1 + 0.2
    found = float32_at_most(np.array([0.1 + 0.2, 0.5, -1e-50, np.inf]))
    assert found.dtype == np.float32
    assert found[0] < near and found[0] == np.nextafter(near, np.float32(0))
    assert found[1] == 0.5 and found[2] < 0 and found[3] == np.inf


def test_states_and_pickles_bring_their_trees(iris, forests):
    x, _ = iris
    trees, other = planted(forests), planted(forests[:1])
    expected = trees(x)
    other.load_state_dict(trees.state_dict())
    assert torch.equal(other(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(trees))(x), expected)
    trees.load_state_dict(Trees(3).state_dict())
    assert len(trees) == 0


def test_forests_do_not_depend_on_the_threads_that_grow_them(iris, forests, monkeypatch):
    x, given = iris
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    row = torch.arange(len(given))
    again = [grow(x, given, own, 3) for own in ((row % 3 > 0).double(), (given > 0) * (1.0 + row % 2))]
    assert [forest.n_jobs for forest in again] == [3, 3]
    assert_close(planted(again)(x), planted(forests)(x), atol=0, rtol=0)


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**30])
def test_forests_are_the_same_in_any_unit(iris, forests, unit):
    x, given = iris
    row = torch.arange(len(given))
    forest = grow(x * unit, given, (row % 3 > 0).double(), 3)
    assert_close(planted([forest])(x * unit), planted(forests[:1])(x), atol=0, rtol=0)
    own, other = forest.estimators_[0].tree_, forests[0].estimators_[0].tree_
    inner = own.feature >= 0
    assert np.array_equal(own.threshold[inner], unit * other.threshold[inner])
    assert (own.threshold[~inner] == -2).all()
