"""Criteria, losses, callbacks and devices of users' nets, through `FlywheelClassifier.fit`."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.exceptions import FlywheelWarning

pytestmark = pytest.mark.usefixtures("quick_folds")

RNG = np.random.default_rng(0)
Y = np.arange(90) % 3
X = (np.eye(3)[Y] + RNG.normal(scale=0.8, size=(90, 3))).astype(np.float32)


class Linear(nn.Module):
    def __init__(self, n_features=3, n_classes=3):
        super().__init__()
        self.linear = nn.Linear(n_features, n_classes)

    def forward(self, x):
        return self.linear(x)


class Split(Linear):
    """Takes its row in two parts."""

    def forward(self, left, right):
        return super().forward(torch.cat([left, right], 1))


class Splitting(NeuralNetClassifier):
    def infer(self, x, **kwargs):
        return super().infer({"left": x[:, :1], "right": x[:, 1:]}, **kwargs)


class OwnLoss(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return super().get_loss(y_pred, y_true, *args, **kwargs) * 100


class Masked(Linear):
    """Rules a class out where a feature is low, as a module does that knows which classes can be."""

    def forward(self, x):
        return super().forward(x).masked_fill((x < -0.5) & (torch.arange(3) == 2), -torch.inf)


class MaskedProbabilities(Masked):
    def forward(self, x):
        return super().forward(x).softmax(1)


def net(cls=NeuralNetClassifier, **kwargs):
    settings = {"criterion": nn.CrossEntropyLoss, "lr": 0.1, "batch_size": 30, "train_split": None}
    return cls(**{"module": Linear} | settings | kwargs)


def fit(main_net, **kwargs):
    settings = {"n_warmup_epochs": 20, "n_cycles": 1, "guard": False, "random_state": 0}
    return FlywheelClassifier(main_net, **settings | kwargs).fit(X, Y)


def test_class_weights_count_in_the_warm_up():
    weight = torch.tensor([0.05, 1.0, 1.0])
    plain, weighted = fit(net()), fit(net(criterion__weight=weight))
    assert (weighted.predict(X) == 0).sum() < (plain.predict(X) == 0).sum() - 10


def test_label_smoothing_counts_in_the_warm_up():
    plain, smooth = fit(net(lr=1.0)), fit(net(lr=1.0, criterion__label_smoothing=0.9))
    assert smooth.predict_proba(X).max(1).mean() < plain.predict_proba(X).max(1).mean() - 0.05


@pytest.mark.parametrize(
    ("main_net", "words"),
    [
        (net(OwnLoss), "main_net overrides get_loss .OwnLoss.get_loss."),
        (net(criterion=nn.MultiMarginLoss), "main_net has criterion MultiMarginLoss"),
        (net(criterion__weight=torch.ones(2)), r"main_net has criterion__weight of shape \(2,\)"),
        (net(callbacks=[EarlyStopping()]), "main_net has the callback EarlyStopping with monitor='valid_loss'"),
    ],
)
def test_what_would_be_ignored_is_refused_before_any_training(main_net, words, monkeypatch):
    monkeypatch.setattr("noisyflywheel.nets.trainer.Trainer.epoch", lambda *args: pytest.fail("training began"))
    with pytest.raises(ValueError, match=words):
        fit(main_net)


def test_a_stop_in_the_warm_up_is_said():
    stopper = EarlyStopping("train_loss", patience=1, threshold=10.0, sink=lambda text: None)
    with pytest.warns(FlywheelWarning, match="^EarlyStopping of a net stopped the training.*epoch 2 of the warm-up"):
        clf = fit(net(callbacks=[stopper]))
    assert clf.n_iter_ == 0


def test_a_stop_in_the_cycles_keeps_what_was_done():
    stopper = EarlyStopping("train_loss", patience=5, threshold=10.0, sink=lambda text: None)
    clf = fit(net(callbacks=[stopper]), n_warmup_epochs=3, n_cycles=10)
    assert 0 < clf.n_iter_ < 10


def test_nets_on_two_devices_are_refused():
    with pytest.raises(ValueError, match="main_net is on device 'cpu' and aux_net on 'meta'"):
        fit(net(), aux_net=net(device="meta"))


@pytest.mark.parametrize("layer", ["auto", "linear"])
def test_features_of_a_compiled_module(layer):
    plain = fit(net(), contrastive_weight=0.1, feature_layer=layer, n_warmup_epochs=1)
    compiled = net(compile=True, compile__backend="eager")
    other = fit(compiled, contrastive_weight=0.1, feature_layer=layer, n_warmup_epochs=1)
    np.testing.assert_allclose(other.predict_proba(X), plain.predict_proba(X), rtol=1e-5)


def test_features_of_a_net_with_an_infer_of_its_own():
    plain = fit(net(), contrastive_weight=0.1, n_warmup_epochs=1)
    own = fit(net(Splitting, module=Split), contrastive_weight=0.1, n_warmup_epochs=1)
    np.testing.assert_array_equal(own.predict_proba(X), plain.predict_proba(X))


def test_the_layer_of_features_is_one_of_f():
    f = net(module=nn.Sequential(nn.Linear(3, 3)))
    clf = fit(net(), aux_net=f, contrastive_weight=0.1, feature_layer="0", n_warmup_epochs=1)
    assert clf.n_iter_ == 1
    with pytest.raises(ValueError, match="feature_layer='linear' is no submodule of Sequential"):
        fit(net(), aux_net=f, feature_layer="linear")


def test_a_contrastive_loss_without_features_is_refused(monkeypatch):
    monkeypatch.setattr("noisyflywheel.nets.trainer.Trainer.epoch", lambda *args: pytest.fail("training began"))
    convolved = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 3, 3), nn.Flatten())
    with pytest.raises(ValueError, match="contrastive_weight > 0 needs features, but Sequential has neither"):
        fit(net(module=convolved), contrastive_weight=0.1)


@pytest.mark.parametrize("refurbish", [True, False])
def test_modules_may_rule_classes_out(refurbish):
    """0 times the logarithm of 0 was NaN in Eqs. (7) and (13); logits and probabilities are the same fit."""
    kinds = [{"module": Masked}, {"module": MaskedProbabilities, "criterion": nn.NLLLoss}]
    fitted = [fit(net(**kind), views=None, refurbish=refurbish) for kind in kinds]
    assert all(
        np.isfinite(clf.history_["main_train_loss"]).all() for clf in fitted if "main_train_loss" in clf.history_
    )
    np.testing.assert_allclose(*(clf.predict_proba(X) for clf in fitted), atol=1e-3)
