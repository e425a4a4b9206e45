"""A net's whole state: training goes on from it bit by bit, schedules and callbacks included."""

import copy

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn
from torch.nn import functional as F

from noisyflywheel.backbones import MLP
from noisyflywheel.nets import Batch, Trainer, prepare_net
from noisyflywheel.nets.netstate import (
    _is_elsewhere,
    _moved,
    copied,
    net_state,
    put_buffers,
    restore_net,
    unsaved_buffers,
)
from noisyflywheel.persistence import load_checkpoint, save_checkpoint

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


class Counter(Callback):
    def on_train_begin(self, net, **kwargs):
        self.epochs_ = 0
        self.seen_ = {"losses": []}

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += 1
        self.seen_["losses"].append(net.history[-1, "train_loss"])


def make(seed, optimizer=torch.optim.AdamW, callbacks=None):
    net = NeuralNetClassifier(
        MLP,
        criterion=nn.CrossEntropyLoss,
        optimizer=optimizer,
        module__dropout=0.3,
        lr=0.05,
        train_split=None,
        callbacks=callbacks or [Counter(), LRScheduler("StepLR", step_size=2, gamma=0.5)],
    )
    torch.manual_seed(seed)
    trainer = Trainer(prepare_net(net, {"n_features": 4, "n_classes": 3}, None, False))
    trainer.begin()
    return trainer


def train(trainer, epochs):
    for _ in range(epochs):
        trainer.epoch([Batch(X, Y, lambda log_p: F.nll_loss(log_p, Y))] * 2)


def test_states_with_a_group_for_the_head_of_the_contrastive_loss_are_refused_with_the_reason():
    """As earlier versions wrote them: torch spoke of groups, and schedules keep numbers of each of them."""
    earlier = make(0)
    earlier.net.optimizer_.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
    with pytest.raises(
        ValueError, match="optimizer had 2 groups of weights and has 1 now. In earlier versions the head"
    ):
        make(0).load_state_dict(earlier.state_dict())


def through_disk(state, path):
    save_checkpoint(path, state)
    return load_checkpoint(path)


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
def test_training_goes_on_bit_by_bit(tmp_path, optimizer):
    whole = make(0, optimizer)
    train(whole, 3)
    saved = through_disk({"net": net_state(whole.net), "rng": torch.get_rng_state()}, tmp_path)
    train(whole, 3)

    resumed = make(99, optimizer)
    restore_net(resumed.net, saved["net"])
    torch.set_rng_state(saved["rng"])
    train(resumed, 3)
    for ours, theirs in zip(resumed.net.module_.parameters(), whole.net.module_.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert resumed.net.history[:, "train_loss"] == whole.net.history[:, "train_loss"]
    assert resumed.net.optimizer_.param_groups[0]["lr"] == whole.net.optimizer_.param_groups[0]["lr"]
    counters = [dict(t.net.callbacks_)["Counter"] for t in (resumed, whole)]
    assert counters[0].epochs_ == 6
    assert counters[0].seen_ == counters[1].seen_


def test_early_stopping_keeps_its_patience(tmp_path):
    trainer = make(0, callbacks=[EarlyStopping("train_loss", patience=7, sink=lambda text: None)])
    train(trainer, 3)
    stopping = dict(trainer.net.callbacks_)["EarlyStopping"]
    saved = through_disk(net_state(trainer.net), tmp_path)
    fresh = make(1, callbacks=[EarlyStopping("train_loss", patience=7, sink=lambda text: None)])
    restore_net(fresh.net, saved)
    restored = dict(fresh.net.callbacks_)["EarlyStopping"]
    assert restored.misses_ == stopping.misses_
    assert restored.dynamic_threshold_ == stopping.dynamic_threshold_


def test_what_is_frozen_stays_frozen(tmp_path):
    trainer, fresh = make(0), make(1)
    trainer.net.module_.head.bias.requires_grad_(False)
    fresh.net.module_.head.weight.requires_grad_(False)
    restore_net(fresh.net, through_disk(net_state(trainer.net), tmp_path))
    frozen = {name for name, p in fresh.net.module_.named_parameters() if not p.requires_grad}
    assert frozen == {"head.bias"}


def test_a_state_of_an_earlier_version_freezes_nothing_and_frees_nothing():
    trainer = make(0)
    state = copied(net_state(trainer.net))
    del state["frozen"]
    trainer.net.module_.head.bias.requires_grad_(False)
    restore_net(trainer.net, state)
    frozen = {name for name, p in trainer.net.module_.named_parameters() if not p.requires_grad}
    assert frozen == {"head.bias"}


def test_a_state_of_another_net_is_refused(tmp_path):
    saved = net_state(make(0).net)
    with pytest.raises((KeyError, ValueError)):
        restore_net(make(0, callbacks=[EarlyStopping("train_loss")]).net, saved)


def test_a_copy_is_equal_and_shares_nothing():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)).to(
        memory_format=torch.channels_last
    )
    value = {"module": module.state_dict(), "rows": [{"loss": 1.0, "array": np.ones(2)}], "pair": (torch.ones(1), "x")}
    found = copied(value)
    assert type(found["module"]) is type(value["module"])
    assert found["module"]._metadata == value["module"]._metadata
    assert found["module"]["0.weight"].stride() == module[0].weight.stride()
    assert found["rows"] is not value["rows"] and found["rows"][0] is not value["rows"][0]
    before = copy.deepcopy(value)
    with torch.no_grad():
        for tensor in [*value["module"].values(), value["pair"][0]]:
            tensor += 1
    value["rows"][0]["array"] += 1
    value["rows"][0]["loss"] = 2.0
    for name, tensor in before["module"].items():
        assert torch.equal(found["module"][name], tensor)
    assert torch.equal(found["pair"][0], torch.ones(1)) and found["pair"][1] == "x"
    assert found["rows"][0]["loss"] == 1.0 and found["rows"][0]["array"].tolist() == [1.0, 1.0]


class Average(Callback):
    """Keeps a moving average of the weights, and a net made at the beginning, under names without an underscore."""

    def __init__(self, like=None):
        self.like = like

    def initialize(self):
        self.average = None
        return self

    def on_train_begin(self, net, **kwargs):
        self.target = copy.deepcopy(net.module_)
        self.optimizer = net.optimizer_

    def on_epoch_end(self, net, **kwargs):
        weights = {name: weight.detach().clone() for name, weight in net.module_.named_parameters()}
        self.average = weights if self.average is None else {n: (self.average[n] + w) / 2 for n, w in weights.items()}
        with torch.no_grad():
            for kept, weight in zip(self.target.parameters(), weights.values(), strict=True):
                kept.add_(weight)


def test_tensors_and_modules_of_callbacks_are_kept(tmp_path):
    trainer, fresh = (make(seed, callbacks=[Average(like=torch.ones(2))]) for seed in (0, 1))
    train(trainer, 2)
    saved = through_disk(net_state(trainer.net), tmp_path)
    assert saved["own_callbacks"]["Average"].keys() == {"average", "target"}  # the optimizer is one of the net's parts
    restore_net(fresh.net, saved)
    ours, theirs = (dict(t.net.callbacks_)["Average"] for t in (trainer, fresh))
    assert all(torch.equal(weight, theirs.average[name]) for name, weight in ours.average.items())
    assert all(map(torch.equal, ours.target.parameters(), theirs.target.parameters()))
    assert theirs.optimizer is fresh.net.optimizer_


def test_the_state_of_what_is_not_made_yet_is_left_out(tmp_path):
    class Late(Callback):
        def on_epoch_end(self, net, **kwargs):
            self.average, self.kept_ = copy.deepcopy(net.module_), copy.deepcopy(net.module_)

    trainer, fresh = (make(seed, callbacks=[Late()]) for seed in (0, 1))
    train(trainer, 1)
    restore_net(fresh.net, through_disk(net_state(trainer.net), tmp_path))
    assert not {"average", "kept_"} & vars(dict(fresh.net.callbacks_)["Late"]).keys()


def test_tensors_of_callbacks_go_where_they_were():
    """Those that lay on an accelerator, in a list or dict too; a file has them all on the CPU."""
    found = _moved({"a": [torch.ones(2), 1], "b": (torch.zeros(1), "x")}, torch.device("meta"))
    assert found["a"][0].device.type == found["b"][0].device.type == "meta" and found["a"][1:] == [1]
    assert found["b"][1] == "x" and _is_elsewhere(found) and not _is_elsewhere([torch.ones(1), {"a": 1}])


class Buffered(nn.Module):
    """Has buffers that its state_dict leaves out; one grows, and one is there only after training."""

    def __init__(self, n_features=4, n_classes=3):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)
        self.register_buffer("calls", torch.zeros(1), persistent=False)
        self.register_buffer("seen", torch.zeros(0), persistent=False)
        self.register_buffer("late", None, persistent=False)

    def forward(self, x):
        if self.training:
            self.calls += 1
            self.seen, self.late = torch.cat([self.seen, self.calls]), self.calls * 2
        return self.head(x)


def test_buffers_that_no_state_dict_has_are_kept(tmp_path):
    module = nn.Sequential(Buffered(), nn.Identity())
    module(torch.ones(2, 4)), module(torch.ones(2, 4))
    found = through_disk({"buffers": unsaved_buffers(module)}, tmp_path)["buffers"]
    assert list(found) == ["0.calls", "0.late", "0.seen"]
    other = nn.Sequential(Buffered(), nn.Identity())
    calls = other[0].calls
    put_buffers(other, found)
    assert other[0].calls is calls and calls.tolist() == [2] and other[0].seen.tolist() == [1, 2]
    assert other[0].late.tolist() == [4] and other.state_dict().keys() == {"0.head.weight", "0.head.bias"}
    assert unsaved_buffers(Buffered().head) == {}
