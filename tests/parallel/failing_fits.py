"""Fits in which something goes wrong on rank 1, or on rank 0 only, and what each rank says of it."""

import json
import os
import signal
import time
from unittest import mock

from shared_fits import Items, digits, net
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.persistence import CheckpointError

SETTINGS = {"n_warmup_epochs": 1, "n_cycles": 2, "random_state": 0, "guard": False}


class Broken(nn.Linear):
    """Fails in its sixth training step, or not."""

    fails, steps = False, 0

    def forward(self, x):
        self.steps += self.training
        if self.fails and self.steps == 6:
            raise OverflowError("mine")
        return super().forward(x)


class Skips(nn.Module):
    """Leaves a layer out in its third training step, on one rank."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.body, self.last = nn.Linear(in_features, in_features), nn.Linear(in_features, out_features)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        skips = self.steps == 3 and os.environ["RANK"] == "1"
        return self.last(x if skips else self.body(x))


class Torn(Items):
    """Rows that become unreadable after a while."""

    def __init__(self, X, reads):
        super().__init__(X)
        self.reads = reads

    def __getitem__(self, i):
        self.reads -= 1
        if self.reads < 0:
            raise OSError("the disk is gone")
        return super().__getitem__(i)


class Stops(Callback):
    """Ends the training in the fifth batch."""

    batches = 0

    def on_batch_end(self, net, **kwargs):
        self.batches += 1
        if self.batches == 5:
            raise KeyboardInterrupt


def fit(X=None, y=None, module=nn.Linear, callbacks=None, **params):
    rows, given, _ = digits(60)
    main = net(module, module__in_features=64, module__out_features=10, callbacks=callbacks)
    clf = FlywheelClassifier(main_net=main, **SETTINGS | params)
    return clf.fit(rows if X is None else X, given if y is None else y)


def raising(error, is_mine):
    def on_cycle(flywheel, row):
        if is_mine:
            raise error

    return on_cycle


def dying(is_mine):
    def on_cycle(flywheel, row):
        if is_mine:
            os._exit(3)

    return on_cycle


def different_rows(second):
    X = digits(60)[0].copy()
    X[7, 30] += second
    fit(X)


def different_labels(second):
    y = digits(60)[1].copy()
    y[:2] = y[1::-1] if second else y[:2]
    fit(y=y)


def different_schedules(second):
    fit(callbacks=[LRScheduler("StepLR", step_size=1)] if second else None)


def broken_net(second):
    with mock.patch.object(Broken, "fails", second):
        fit(module=Broken)


def no_checkpoint(second):
    failing = mock.Mock(side_effect=CheckpointError("there", "the disk is full"))
    with mock.patch("noisyflywheel.loop.watch.checkpoints.save_checkpoint", failing):
        fit(checkpoint_dir=f"{os.getcwd()}/checkpoints")


def stopped(second):
    clf = fit(callbacks=[Stops()] if second else None, n_warmup_epochs=0, n_cycles=4)
    raise StopIteration(f"{clf.n_iter_} cycles, {len(clf.main_net_.history)} epochs, {clf.clean_proba_.sum()}")


class StopsEpoch(Callback):
    """Ends the training when its third epoch begins."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


def stopped_before_an_epoch(second):
    clf = fit(callbacks=[StopsEpoch()] if second else None, n_warmup_epochs=0, n_cycles=4)
    raise StopIteration(f"{clf.n_iter_} cycles, {len(clf.main_net_.history)} epochs, {clf.clean_proba_.sum()}")


CASES = {
    "different_rows": different_rows,
    "different_labels": different_labels,
    "different_cycles": lambda second: fit(n_cycles=2 + second),
    "different_views": lambda second: fit(views=None if second else "auto"),
    "different_schedules": different_schedules,
    "wrong_parameter": lambda second: fit(n_cycles=-1 if second else 2),
    "error_in_cycle": lambda second: fit(on_cycle=raising(LookupError("mine"), second)),
    "error_in_net": broken_net,
    "ctrl_c": lambda second: fit(on_cycle=raising(KeyboardInterrupt(), second)),
    "torn_row": lambda second: fit(Torn(digits(60)[0], 300 if second else 10**6)),
    "skipped_layer": lambda second: fit(module=Skips),
    "no_folder": lambda second: fit(checkpoint_dir=f"{__file__}/file"),
    "no_checkpoint": no_checkpoint,
    "stopped": stopped,
    "stopped_before_an_epoch": stopped_before_an_epoch,
    "fine": lambda second: fit(),
    "dead": lambda second: fit(on_cycle=dying(second)),
}
"""Each is called with whether this is the second rank."""


def main(folder):
    """Let each case happen; leaves ``folder/RANK.json``: for each the type and text of the error, and the seconds."""
    rank = int(os.environ["RANK"])
    os.chdir(folder)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, once a rank died: this one has to say what it met
    found, held = {}, []
    for name, case in CASES.items():
        start = time.monotonic()
        try:
            case(rank == 1)
            said = ("", "")
        except BaseException as error:
            held.append(error)  # as a debugger or a notebook holds it
            said = (type(error).__name__, str(error))
        found[name] = [*said, time.monotonic() - start]
        with open(f"{rank}.json", "w") as file:
            json.dump(found, file)
