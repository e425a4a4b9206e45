"""A fit where the caller has switched training off."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 60)
X = (3 * Y[:, None] + RNG.normal(size=(60, 4))).astype(np.float32)
SETTINGS = {"n_warmup_epochs": 1, "n_cycles": 1, "random_state": 0, "device": "cpu"}


def rows(kind):
    """X, y and weights as ``kind``, made in the mode of the caller."""
    if kind == "arrays":
        return X, Y
    x, y = torch.tensor(X), torch.tensor(Y)
    return {"tensors": (x, y, torch.ones(60)), "dataset": (TensorDataset(x, y),)}[kind]


@pytest.mark.usefixtures("quick_folds")
@pytest.mark.parametrize("kind", ["arrays", "tensors", "dataset"])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize("n_folds", [1, 2])
def test_the_fit_is_the_same(mode, kind, n_folds):
    n_folds = 1 if kind == "dataset" else n_folds
    expected = FlywheelClassifier(n_folds=n_folds, **SETTINGS).fit(*rows(kind))
    with mode():
        fitted = FlywheelClassifier(n_folds=n_folds, **SETTINGS).fit(*rows(kind))
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
        assert not torch.is_grad_enabled()
        predicted = fitted.predict_proba(X)
    np.testing.assert_array_equal(fitted.clean_proba_, expected.clean_proba_)
    np.testing.assert_array_equal(predicted, expected.predict_proba(X))


def test_rows_and_modules_made_in_inference_mode():
    with torch.inference_mode():
        pictures = torch.rand(24, 1, 8, 8)
        module = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 2))
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, batch_size=8)
    before = module[2].weight.clone()
    fitted = FlywheelClassifier(net, **SETTINGS).fit(pictures, Y[:24])
    assert not any(tensor.is_inference() for tensor in fitted.aux_net_.module_.state_dict().values())
    assert not torch.equal(fitted.aux_net_.module_[2].weight, before)
    assert torch.equal(module[2].weight, before)


@pytest.mark.usefixtures("quick_folds")
def test_a_fit_goes_on_outside():
    classifier = FlywheelClassifier(warm_start=True, **SETTINGS)
    with torch.inference_mode():
        classifier.fit(X, Y).predict(X)
    assert len(classifier.fit(X, Y).history_) == 2
