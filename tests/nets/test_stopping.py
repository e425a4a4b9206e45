"""Callbacks that stop the training, and what they may look at."""

import pytest
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from torch import nn

from noisyflywheel.exceptions import FlywheelWarning
from noisyflywheel.nets import Trainer, prepare_net
from noisyflywheel.nets.stopping import StopTraining, check_monitors, warn_of_early_stop


class Records(Callback):
    """Records a figure of its own."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("valid_loss", 1.0)


class Stops(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise KeyboardInterrupt


def ready(*callbacks):
    net = NeuralNetClassifier(nn.Linear(4, 3), criterion=nn.CrossEntropyLoss, callbacks=list(callbacks))
    return prepare_net(net, {}, "cpu", False)


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ([EarlyStopping()], "main_net has the callback EarlyStopping with monitor='valid_loss'.*train_loss: in the"),
        ([Checkpoint()], "Checkpoint with monitor='valid_loss_best'"),
        ([EarlyStopping("train_loss_best")], "monitor='train_loss_best'"),
        ([LRScheduler("ReduceLROnPlateau", monitor="valid_acc")], "LRScheduler with monitor='valid_acc'"),
        ([EpochScoring("f1_macro"), ("stop", EarlyStopping("f1_macro"))], "callback stop with monitor='f1_macro'"),
    ],
)
def test_what_is_never_recorded_cannot_be_monitored(callbacks, words):
    with pytest.raises(ValueError, match=words):
        check_monitors(ready(*callbacks), "main_net")


def test_what_is_recorded_can_be_monitored():
    check_monitors(ready(EarlyStopping("train_loss"), Checkpoint(monitor=None)), "main_net")
    check_monitors(ready(LRScheduler("ReduceLROnPlateau"), Checkpoint(monitor=lambda net: True)), "main_net")
    check_monitors(ready(Records(), EarlyStopping()), "main_net")


def test_a_stop_names_the_callback_and_the_epoch():
    trainer = Trainer(ready(("halt", Stops())))
    with pytest.raises(StopTraining, match="^halt of a net stopped the training in on_epoch_end, epoch 1$"):
        trainer.epoch(iter(()))


def test_a_net_that_stops_by_itself_is_a_callback():
    class Own(NeuralNetClassifier):
        def on_epoch_end(self, *args, **kwargs):
            raise KeyboardInterrupt

    own = Own(nn.Linear(4, 3), criterion=nn.CrossEntropyLoss)
    with pytest.raises(StopTraining, match="^a callback of a net stopped"):
        Trainer(prepare_net(own, {}, "cpu", False)).epoch(iter(()))


def test_the_warning_says_that_no_cycle_was_run():
    with pytest.warns(FlywheelWarning, match="halt stopped of the warm-up, before the first cycle.*n_iter_ is 0"):
        warn_of_early_stop(StopTraining("halt stopped"), in_a_cycle=False)
    with pytest.warns(FlywheelWarning, match="halt stopped, in the first cycle: .*n_iter_ is 0"):
        warn_of_early_stop(StopTraining("halt stopped"), in_a_cycle=True)
