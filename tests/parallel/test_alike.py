"""Whether ranks find that a callback of one of them has changed its net."""

import math

import pytest
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from thread_ranks import on_ranks
from torch import nn

from noisyflywheel.nets import Trainer
from noisyflywheel.nets.parallel.alike import difference


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([[0.1], [((2, 2), True)], 1.0], None),
        ([[0.1], [((2, 2), True)], 1.0 + 5e-5], None),
        ([[0.1], [((2, 2), True)], 1.0 + 2e-4], "other values of its weights"),
        ([[0.1], [((2, 2), True)], math.nan], "other values of its weights"),
        ([[0.1], [((2, 2), True)], None], None),
        ([[0.2], [((2, 2), True)], 2.0], r"other learning rates ([0.2], not [0.1])"),
        ([[0.1], [((2, 2), False)], 1.0], "weights of other shapes, or others frozen,"),
        ([[0.1], [((2, 3), True)], 1.0], "weights of other shapes, or others frozen,"),
    ],
)
def test_what_differs_by_hand(other, words):
    assert difference([[0.1], [((2, 2), True)], 1.0], other) == words


def test_nets_that_both_failed_are_alike():
    assert difference([[], [], math.nan], [[], [], math.nan]) is None


def slows(net):
    net.optimizer_.param_groups[0]["lr"] *= 0.5


def freezes(net):
    net.module_.bias.requires_grad_(False)


def shrinks(net):
    net.module_.weight.data *= 0.5


def trained(ranks, change=None, event="on_epoch_end", width=2):
    """A net after three epochs without a step, which rank 1 changes in an event."""

    def heard(self, net, **kwargs):
        if ranks.rank == 1 and change is not None:
            change(net)

    callback = type("Changes", (Callback,), {event: heard})()
    made = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0, "callbacks": [callback]}
    net = NeuralNetClassifier(nn.Linear(2, width), **made).initialize()
    for weight in net.module_.parameters():
        nn.init.constant_(weight, 0.5)  # threads share the generator
    trainer = Trainer(net, ranks=ranks, name="main_net")
    for _ in range(3):
        trainer.epoch(())
    return len(net.history)


@pytest.mark.parametrize("event", ["on_epoch_begin", "on_epoch_end"])
@pytest.mark.parametrize(
    ("change", "words"), [(slows, "other learning rates"), (freezes, "others frozen"), (shrinks, "other values")]
)
def test_a_callback_that_changes_the_net_of_one_rank_is_an_error_on_all(change, words, event):
    def task(ranks):
        with pytest.raises(ValueError, match=rf"main_net on rank 1 has .*{words}.* than on rank 0"):
            trained(ranks, change, event)

    on_ranks(3, task)


def test_modules_of_other_widths_are_an_error_on_all_ranks():
    def task(ranks):
        with pytest.raises(ValueError, match="main_net on rank 1 has weights of other shapes"):
            trained(ranks, width=2 + ranks.rank)

    on_ranks(2, task)


def test_callbacks_that_only_watch_may_differ():
    assert on_ranks(2, lambda ranks: trained(ranks, lambda net: None)) == [3, 3]
