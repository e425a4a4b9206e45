"""What callers see: inputs of every kind, rows and labels kept, determinism, random states."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier
from skorch.helper import SliceDataset
from torch import nn
from torch.utils.data import TensorDataset

from noisyflywheel import CheckpointError, FlywheelClassifier
from noisyflywheel.backbones import MLP

pytestmark = pytest.mark.usefixtures("quick_folds_of_module")


def quick(**params):
    return FlywheelClassifier(**{"n_warmup_epochs": 2, "n_cycles": 2, "random_state": 0} | params)


def test_is_a_classifier():
    assert is_classifier(FlywheelClassifier())


@pytest.fixture(scope="module")
def fitted(iris, quick_folds_of_module):
    X, y, _ = iris
    return quick().fit(X, y)


def test_fitted_attributes(iris, fitted):
    X, clf = iris[0], fitted
    assert clf.clean_proba_.shape == clf.label_quality_.shape == (150,)
    assert clf.refurbished_proba_.shape == (150, 3)
    assert_allclose(clf.refurbished_proba_.sum(1), 1)
    assert_allclose(clf.transition_matrix_.sum(1), 1)
    assert_allclose(clf.corruption_matrix_.sum(1), 1)
    assert_array_equal(clf.refurbished_labels_, clf.classes_[clf.refurbished_proba_.argmax(1)])
    assert 0 < clf.clean_rate_ < 1 and clf.n_iter_ == len(clf.history_) == 2 and clf.n_features_in_ == 4
    assert ((clf.clean_proba_ >= 0) & (clf.clean_proba_ <= 1)).all()
    proba = clf.predict_proba(X)
    assert proba.dtype == np.float64
    assert_allclose(proba.sum(1), 1, rtol=1e-12)


def test_clean_proba_keeps_the_order_of_label_quality(fitted):
    order = np.argsort(fitted.label_quality_, kind="stable")
    assert (np.diff(fitted.clean_proba_[order]) >= 0).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda y: np.array(["setosa", "versicolor", "virginica"])[y],
        lambda y: np.array([-3, 7, 100])[y],
        lambda y: pd.Categorical.from_codes(y, categories=["x", "y", "z"]),
        lambda y: y > 0,
        lambda y: list(y),
    ],
)
def test_labels_of_any_type_come_back(iris, make):
    X, y, _ = iris
    given = make(y)
    clf = quick(n_folds=1).fit(X, given)
    issues = clf.get_label_issues()
    assert set(clf.predict(X)) <= set(np.asarray(given))
    assert clf.refurbished_labels_.dtype == np.asarray(given).dtype
    assert_array_equal(issues["given_label"].to_numpy(), np.asarray(given))


def test_index_of_the_caller_is_kept(iris):
    X, y, _ = iris
    index = pd.Index([f"row {i}" for i in range(150)])
    frame = pd.DataFrame(X, columns=list("abcd"), index=index)
    clf = quick(n_folds=1).fit(frame, y)
    assert clf.get_label_issues().index.equals(index)
    assert list(clf.feature_names_in_) == list("abcd")
    assert quick(n_folds=1).fit(X, pd.Series(y, index=index)).get_label_issues().index.equals(index)


def test_issue_count_agrees_with_clean_proba(digits):
    X, y, _ = digits
    clf = quick(n_cycles=5).fit(X, y)
    issues = clf.get_label_issues()
    assert issues["is_label_issue"].sum() == round((1 - clf.clean_proba_).sum())
    worst = issues["label_quality"][issues["is_label_issue"]].max()
    assert worst <= issues["label_quality"][~issues["is_label_issue"]].min()
    assert len(clf.get_class_summary()) == 10


@pytest.mark.parametrize("shape", ["nhwc", "nchw", "float", "tensor", "grey", "dataset", "slice"])
def test_pictures_of_every_form(pictures, shape):
    X, y = pictures
    first = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    forms = {
        "nhwc": X,
        "nchw": first,
        "float": X / np.float32(255),
        "tensor": torch.from_numpy(X),
        "grey": X[..., 0],
        "dataset": TensorDataset(torch.from_numpy(first), torch.from_numpy(y)),
        "slice": SliceDataset(TensorDataset(torch.from_numpy(first), torch.from_numpy(y))),
    }
    labels = None if shape == "dataset" else y
    clf = quick().fit(forms[shape], labels)
    assert clf.predict_proba(forms[shape]).shape == (60, 3)


def test_forms_of_one_picture_agree(pictures):
    X, y = pictures
    first = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    dataset = TensorDataset(torch.from_numpy(first), torch.from_numpy(y))
    expected = quick().fit(X, y).predict_proba(X)
    assert_array_equal(quick().fit(first, y).predict_proba(first), expected)
    assert_array_equal(quick().fit(dataset).predict_proba(dataset), expected)
    for pictures in (list(X), [Image.fromarray(x) for x in X], list(torch.from_numpy(first))):
        assert_array_equal(quick().fit(pictures, y).predict_proba(pictures), expected)


def test_pictures_are_predicted_in_every_order_of_axes_whatever_fit_saw(pictures):
    X, y = pictures
    first = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    dataset = TensorDataset(torch.from_numpy(first), torch.from_numpy(y))
    forms = [X, first, torch.from_numpy(X), dataset, SliceDataset(dataset), list(first)]
    expected = quick().fit(X, y).predict_proba(X)
    for fitted_on in (X, first, dataset):
        clf = quick().fit(fitted_on, y)
        for form in forms:
            assert_array_equal(clf.predict_proba(form), expected)
    grey = quick().fit(X[..., 0], y)
    for form in (X[..., :1], first[:, :1]):
        assert_array_equal(grey.predict_proba(form), grey.predict_proba(X[..., 0]))


def test_two_fits_with_one_seed_are_equal_and_seeds_differ(iris, fitted):
    X, y, _ = iris
    first, second = fitted, quick().fit(X, y)
    assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert_array_equal(first.clean_proba_, second.clean_proba_)
    assert not np.array_equal(first.predict_proba(X), quick(random_state=1).fit(X, y).predict_proba(X))


@pytest.mark.parametrize("seed", [None, 0])
def test_global_random_states_are_left_alone(iris, seed):
    X, y, _ = iris
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    quick(random_state=seed).fit(X, y).predict(X)
    with pytest.raises(ValueError, match="infinity"):
        quick(random_state=seed).fit(np.full_like(X, np.inf), y)
    assert torch.equal(before[0], torch.get_rng_state())
    assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_rows_are_scored_alone_as_together(iris, fitted):
    X = iris[0]
    assert_array_equal(fitted.predict_proba(X)[7:8], fitted.predict_proba(X[7:8]))


def test_warm_up_and_cycles_take_cycle_size_rows(iris):
    X, y, _ = iris
    seen = []
    settings = {"n_warmup_epochs": 3, "n_cycles": 2, "cycle_size": 60, "mixup_alpha": 0, "contrastive_weight": 0}
    quick(**settings, on_cycle=lambda flywheel, row: seen.append(flywheel.aux.images_seen)).fit(X, y)
    assert seen == [4 * 60, 5 * 60]  # three warm-up epochs and one, two cycles


def test_warm_start_goes_on(iris):
    X, y, _ = iris
    clf = quick(warm_start=True).fit(X, y)
    clf.fit(X, y)
    assert clf.n_iter_ == 4 and list(clf.history_["cycle"]) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="warm_start"):
        clf.fit(X[:-1], y[:-1])


class FewParameters(FlywheelClassifier):
    """A subclass that sets most parameters itself."""

    def __init__(self, n_cycles=2):
        super().__init__(n_warmup_epochs=2, n_cycles=n_cycles, warm_start=True, random_state=0)


class OwnParameter(FewParameters):
    """A subclass with a parameter of its own."""

    def __init__(self, own=None, n_cycles=2):
        super().__init__(n_cycles=n_cycles)
        self.own = own


def test_a_subclass_may_take_few_of_the_parameters(iris, tmp_path):
    X, y, _ = iris
    clf = clone(FewParameters(n_cycles=1)).fit(X, y).fit(X, y)
    assert list(clf.get_params()) == ["n_cycles"] and clf.n_iter_ == 2 and clf.n_warmup_epochs_ == 2
    clf.save(tmp_path)
    for copied in (pickle.loads(pickle.dumps(clf)), FlywheelClassifier.load(tmp_path), FewParameters.load(tmp_path)):
        assert_array_equal(copied.predict_proba(X), clf.predict_proba(X))
    assert type(copied) is FewParameters and copied.n_warmup_epochs == 2


def test_a_subclass_may_add_a_parameter_that_others_do_not_have(iris, tmp_path):
    X, y, _ = iris
    OwnParameter(n_cycles=1, own="value").fit(X, y).save(tmp_path)
    assert OwnParameter.load(tmp_path).own == "value"
    with pytest.raises(CheckpointError, match="FlywheelClassifier has no parameter 'own'"):
        FlywheelClassifier.load(tmp_path)


def test_on_cycle_joins_history(iris):
    X, y, _ = iris
    clf = quick(on_cycle=lambda flywheel, row: {"rows": len(flywheel.given)}).fit(X, y)
    assert list(clf.history_["rows"]) == [150, 150]


def learning_rates(X, y):
    """Those of the default g and f in each of five cycles."""
    seen = []

    def note(flywheel, row):
        seen.append([trainer.net.optimizer_.param_groups[0]["lr"] for trainer in (flywheel.main, flywheel.aux)])

    quick(n_cycles=5, n_folds=1, on_cycle=note).fit(X, y)
    return np.array(seen).T


def test_learning_rates_of_default_nets(iris):
    X, y, _ = iris
    held = np.array([1, 1, 1, 0.75, 0.25])  # two fifths at the whole rate, then the cosine at 0, 1/3 and 2/3
    assert_allclose(learning_rates(X, y), [0.01 * held, 0.015 * held])
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
    cosine = 0.025 * (1 + np.cos(np.pi * np.arange(5) / 5))
    assert_allclose(learning_rates(images, np.arange(40) % 2), [cosine, cosine])


def test_not_fitted():
    with pytest.raises(NotFittedError):
        FlywheelClassifier().get_label_issues()


class Probabilities(nn.Module):
    def __init__(self, n_features=1, n_classes=1):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_features, 16), nn.ReLU(), nn.Linear(16, n_classes), nn.Softmax(1))

    def forward(self, x):
        return self.layers(x)


def test_users_nets_are_cloned_and_never_trained(iris):
    X, y, _ = iris
    net = NeuralNetClassifier(Probabilities, lr=0.1, train_split=None)
    clf = quick(main_net=net).fit(X, y)
    assert not net.initialized_ and clf.main_net_ is not net and clf.aux_net_ is not clf.main_net_
    first = next(clf.main_net_.module_.parameters())
    assert not torch.equal(first, next(clf.aux_net_.module_.parameters()))
    assert clf.aux_net_.module_.layers[2].out_features == 3 and clf.aux_net_.module_.layers[0].in_features == 4


def test_nested_parameters_reach_the_nets(iris):
    X, y, _ = iris
    net = NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, lr=0.05, train_split=None)
    clf = quick(main_net=net, aux_net=clone(net)).set_params(aux_net__lr=0.02, main_net__module__hidden=(8,))
    clf.fit(X, y)
    assert clf.aux_net_.lr == 0.02 and clf.main_net_.module_.feature_dim == 8
    assert clf.aux_net_.module_.feature_dim == 256
