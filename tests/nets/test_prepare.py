"""From a user's net, or none, to an initialised one: widths, checks, criterion rules."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback, EpochScoring
from skorch.dataset import Dataset, ValidSplit
from torch import nn
from torch.utils.data import DataLoader

from noisyflywheel.backbones import MLP, SmallResNet
from noisyflywheel.nets import Trainer, check_forward
from noisyflywheel.nets.check import check_output
from noisyflywheel.nets.criterion import output_kind
from noisyflywheel.nets.prepare import check_net, default_net, listens, prepare_net


def net(module=MLP, **kwargs):
    return NeuralNetClassifier(module, train_split=None, **{"criterion": nn.CrossEntropyLoss} | kwargs)


class Keeps(Callback):
    """Has an attribute that skorch takes for a parameter."""

    def __init__(self):
        self.losses = []


class KeepsOwn(Callback):
    """Has one that skorch leaves alone."""

    def __init__(self):
        self.losses_ = []


@pytest.mark.parametrize("callbacks", [[Keeps()], [KeepsOwn(), ("kept", Keeps())]])
def test_callbacks_that_cannot_be_cloned_are_named(callbacks):
    words = r"aux_net cannot be cloned because of its callback Keeps \(.*'losses'.*made in on_train_begin"
    with pytest.raises(ValueError, match=words):
        prepare_net(net(callbacks=callbacks), WIDTHS, None, False, "aux_net")


def test_objects_with_a_lazy_batch_norm_are_refused_by_name():
    with pytest.raises(ValueError, match="main_net cannot be cloned because its module is an object with a lazy"):
        prepare_net(net(nn.Sequential(nn.LazyBatchNorm1d())), WIDTHS, None, False, "main_net")


@pytest.mark.parametrize("module", [nn.LazyBatchNorm1d, nn.LazyLinear(3), lambda: nn.Sequential(nn.LazyBatchNorm1d())])
@pytest.mark.parametrize("callbacks", [None, "disable", [KeepsOwn, ("own", KeepsOwn())]])
def test_what_can_be_cloned_passes(module, callbacks):
    check_net(net(module, callbacks=callbacks), "main_net")


class OtherModules(NeuralNetClassifier):
    """Makes a module under another name only."""

    def initialize_module(self):
        self.body_ = nn.Linear(5, 3)
        return self


class OtherOptimizer(NeuralNetClassifier):
    """Makes an optimizer under another name only."""

    def initialize_optimizer(self):
        self.slow_ = torch.optim.SGD(self.module_.parameters(), lr=0.1)
        return self


@pytest.mark.parametrize("module", [MLP, nn.Identity])
def test_modules_under_other_names_are_refused(module):
    other = OtherModules(module, criterion=nn.CrossEntropyLoss)
    with pytest.raises(ValueError, match=r"class OtherModules has no module_ .*super\(\).initialize_module\(\)"):
        prepare_net(other, WIDTHS, None, False)


def test_optimizers_under_other_names_are_refused():
    with pytest.raises(ValueError, match=r"class OtherOptimizer has no optimizer_ .*initialize_optimizer\(\)"):
        prepare_net(OtherOptimizer(MLP, criterion=nn.CrossEntropyLoss), WIDTHS, None, False)


def test_other_errors_of_initialize_stay():
    with pytest.raises(ValueError, match="unexpected argument"):
        prepare_net(net(surprise=1), WIDTHS, None, False)
    with pytest.raises(TypeError, match="wide"):
        prepare_net(net(module__wide=1), WIDTHS, None, False)


WIDTHS = {"n_features": 5, "n_classes": 3}


def test_default_nets():
    assert default_net(False, 500, "cpu").module is MLP
    assert default_net(True, 500, "cpu").module is SmallResNet


@pytest.mark.parametrize(
    ("n_rows", "n_folds", "device", "skips"),
    [(30_001, 2, "cpu", True), (30_000, 2, "cpu", False), (30_001, 3, "cpu", False), (30_001, 2, "cuda", False)],
)
def test_members_skip_rows_where_it_pays(n_rows, n_folds, device, skips):
    assert default_net(False, n_rows, device, n_folds=n_folds).get_params().get("module__only_own", False) is skips


def test_prepare_fills_unset_widths_and_leaves_the_users_net():
    mine = net()
    ready = prepare_net(mine, WIDTHS | {"in_channels": 1}, None, False)
    assert ready.module_.head.out_features == 3
    assert ready.module_.mean.shape == (5,)
    assert not mine.initialized_
    assert "module__n_features" not in mine.get_params(deep=False)


def test_modules_whose_weights_have_no_shape_yet_see_pictures():
    lazy = prepare_net(net(nn.Sequential(nn.Flatten(), nn.LazyLinear(3))), WIDTHS, None, True)
    assert lazy.infer(torch.zeros(2, 1, 4, 4)).shape == (2, 3)


def test_prepare_keeps_widths_that_are_set():
    ready = prepare_net(net(module__n_features=9, module__hidden=(4,)), WIDTHS, None, False)
    assert ready.module_.mean.shape == (9,)
    assert ready.module_.head.in_features == 4


def test_prepare_keeps_widths_that_a_partial_sets():
    ready = prepare_net(net(partial(MLP, n_features=7)), WIDTHS, None, False)
    assert ready.module_.mean.shape == (7,)
    assert ready.module_.head.out_features == 3


def test_prepare_keeps_the_users_optimizer_and_learning_rate():
    ready = prepare_net(net(optimizer=torch.optim.Adam, lr=0.123), WIDTHS, "cpu", False)
    assert isinstance(ready.optimizer_, torch.optim.Adam)
    assert ready.optimizer_.param_groups[0]["lr"] == 0.123
    assert ready.device == "cpu"


def test_prepare_takes_an_instance_and_a_factory():
    def factory(n_classes, n_features):
        return nn.Linear(n_features, n_classes)

    assert prepare_net(net(nn.Linear(5, 3)), WIDTHS, None, False).module_.out_features == 3
    filled = prepare_net(net(factory), WIDTHS, None, False)
    assert filled.module_.out_features == 3


def test_prepare_silences_per_batch_printing_and_keeps_user_callbacks():
    class Mine(Callback):
        pass

    ready = prepare_net(net(callbacks=[("mine", Mine())]), WIDTHS, None, False)
    names = {name for name, _ in ready.callbacks_}
    assert "mine" in names
    assert not any(isinstance(callback, EpochScoring) for _, callback in ready.callbacks_)
    disabled = prepare_net(net(callbacks="disable"), WIDTHS, None, False)
    assert disabled.callbacks_ == []


def test_callbacks_that_the_user_has_switched_off_stay_off():
    mine = net(callbacks__print_log=None, callbacks__valid_acc=None, callbacks__epoch_timer=None)
    assert prepare_net(mine, WIDTHS, None, False).callbacks_ == []


def test_a_batch_size_of_numpy_is_one():
    mine = net(batch_size=np.int64(16))
    check_net(mine, "main_net")
    assert type(prepare_net(mine, WIDTHS, None, False).batch_size) is int
    for wrong in (True, np.float64(16.0), np.int64(0)):
        with pytest.raises(ValueError, match="main_net has batch_size="):
            check_net(net(batch_size=wrong), "main_net")


class OwnLoader(DataLoader):
    pass


class OwnDataset(Dataset):
    pass


class OwnIterator(NeuralNetClassifier):
    def get_iterator(self, dataset, training=False):
        return super().get_iterator(dataset, training)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"iterator_train": OwnLoader}, "iterator_train=OwnLoader, which is never used"),
        ({"iterator_valid": OwnLoader}, "iterator_valid=OwnLoader"),
        ({"dataset": OwnDataset}, "dataset=OwnDataset.*X may be a torch Dataset"),
        ({"dataset__length": 3}, "dataset__length=3"),
        ({"iterator_train__batch_size": 8}, "iterator_train__batch_size=8.*set batch_size"),
        ({"iterator_train__sampler": [0]}, "iterator_train__sampler"),
        ({"iterator_train__shuffle": False}, "iterator_train__shuffle=False"),
        ({"iterator_train__drop_last": True}, "iterator_train__drop_last=True.*leave it out"),
        ({"iterator_valid__collate_fn": list}, "iterator_valid__collate_fn=list"),
        ({"iterator_train__num_worker": 2}, "iterator_train__num_worker=2"),
    ],
)
def test_batches_of_the_users_are_refused(kwargs, words):
    with pytest.raises(ValueError, match=f"main_net has {words}"):
        check_net(net(**kwargs), "main_net")


def test_an_overridden_iterator_is_refused():
    with pytest.raises(ValueError, match="main_net overrides get_iterator .OwnIterator.get_iterator."):
        check_net(OwnIterator(MLP, train_split=None), "main_net")


def test_what_is_asked_of_batches_and_done_anyway_is_allowed():
    asked = {"iterator_train__shuffle": True, "iterator_train__drop_last": False, "iterator_valid__batch_size": 512}
    check_net(net(**asked, iterator_valid__shuffle=False, iterator_train__pin_memory=True), "main_net")
    check_net(net(iterator_train__sampler=None, iterator_train__num_workers=2), "main_net")


def test_prepare_follows_the_seed():
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(prepare_net(net(), WIDTHS, None, False).module_.head.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_check_net_refuses_what_is_no_skorch_net():
    with pytest.raises(TypeError, match="main_net must be a skorch NeuralNet or None, got Linear"):
        check_net(nn.Linear(2, 2), "main_net")


def test_check_net_refuses_a_split_of_the_users_only():
    check_net(NeuralNetClassifier(MLP), "main_net")  # skorch's default
    check_net(net(), "main_net")
    with pytest.raises(ValueError, match="aux_net has train_split"):
        check_net(NeuralNetClassifier(MLP, train_split=ValidSplit(3)), "aux_net")


@pytest.mark.parametrize(
    ("kwargs", "kind"),
    [
        ({"criterion": nn.CrossEntropyLoss}, "logits"),
        ({"criterion": nn.NLLLoss}, "probabilities"),
        ({"criterion": nn.NLLLoss, "predict_nonlinearity": None}, "probabilities"),
        ({"predict_nonlinearity": torch.exp}, "custom"),
        ({"criterion": nn.MultiMarginLoss}, "custom"),
    ],
)
def test_output_kind_follows_skorch(kwargs, kind):
    assert output_kind(prepare_net(net(**kwargs), WIDTHS, None, False)) == kind


def test_output_kind_of_a_plain_net_with_nll_is_log_probabilities():
    plain = NeuralNet(MLP, criterion=nn.NLLLoss, train_split=None)
    assert output_kind(prepare_net(plain, WIDTHS, None, False)) == "log_probabilities"


def test_check_output():
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    proba = torch.softmax(logits, 1)
    check_output(logits, "logits", 2, 2, "main_net")
    check_output(proba, "probabilities", 2, 2, "main_net")
    with pytest.raises(ValueError, match=r"main_net returns an output of shape \(2, 2\).*need \(2, 3\)"):
        check_output(logits, "logits", 2, 3, "main_net")
    with pytest.raises(ValueError, match="no probabilities, but its criterion expects"):
        check_output(logits, "probabilities", 2, 2, "main_net")
    with pytest.warns(UserWarning, match="sum to 1 but its criterion CrossEntropyLoss expects logits"):
        check_output(proba, "logits", 2, 2, "main_net")
    with pytest.raises(ValueError, match="log-probabilities"):
        check_output(logits, "log_probabilities", 2, 2, "main_net")
    with pytest.raises(ValueError, match="main_net returns NaN before any training"):
        check_output(logits * float("nan"), "logits", 2, 2, "main_net")
    check_output(torch.log(proba), "log_probabilities", 2, 2, "main_net")


@pytest.mark.parametrize("nonlinearity", [None, torch.sigmoid])
def test_a_nonlinearity_that_makes_no_probabilities_is_named(nonlinearity):
    mine = prepare_net(net(nn.Linear(5, 3), predict_nonlinearity=nonlinearity), WIDTHS, None, False)
    with pytest.raises(ValueError, match="main_net has predict_nonlinearity=.*no probabilities with it: leave it out"):
        check_forward(Trainer(mine), torch.ones(2, 5), 3, "main_net")


def test_check_output_does_not_warn_about_logits_that_are_positive():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_output(torch.tensor([[2.0, 1.0], [0.5, 3.0]]), "logits", 2, 2, "main_net")


def test_listens():
    class Hears(Callback):
        def on_batch_end(self, net, **kwargs):
            pass

    class Silent(Callback):
        pass

    assert listens(prepare_net(net(callbacks=[Hears()]), WIDTHS, None, False), "on_batch_begin", "on_batch_end")
    quiet = prepare_net(net(callbacks=[Silent()]), WIDTHS, None, False)
    assert not listens(quiet, "on_batch_begin", "on_batch_end")

    class Own(NeuralNetClassifier):
        def on_grad_computed(self, *args, **kwargs):
            super().on_grad_computed(*args, **kwargs)

    own = Own(MLP, criterion=nn.CrossEntropyLoss, train_split=None)
    assert listens(prepare_net(own, WIDTHS, None, False), "on_grad_computed")
