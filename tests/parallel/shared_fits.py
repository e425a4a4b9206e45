"""Fits that one process and several must end alike: ``python shared_fits.py FOLDER CASE ...``, as each of the ranks.

Each leaves ``FOLDER/CASE.RANK.npz``.
"""

import contextlib
import functools
import os
import shutil
import sys
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from own_infer import InHalves, Joined, Stemmed
from sklearn.datasets import load_digits, load_iris
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import Dataset

from noisyflywheel import FlywheelClassifier, FlywheelWarning
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.noise import symmetric

QUICK = {"n_warmup_epochs": 1, "n_cycles": 2, "random_state": 0}
LONGER = QUICK | {"n_cycles": 4}


@functools.cache
def digits(n=600):
    """X (n, 64), given labels and true ones (n,)."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:n], y[:n]
    return X, symmetric(y, 0.3, random_state=0), y


class Norms(nn.Module):
    """BatchNorm of both kinds, between linear layers."""

    def __init__(self, n_features=64, n_classes=10):
        super().__init__()
        layers = [nn.Linear(n_features, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.BatchNorm1d(32, momentum=None)]
        self.body, self.last = nn.Sequential(*layers), nn.Linear(32, n_classes)

    def forward(self, x):
        return self.last(self.body(x))


def lazy_norms():
    return nn.Sequential(nn.LazyLinear(32), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(10))


class Pictures(nn.Module):
    """A convolution with BatchNorm."""

    def __init__(self, n_classes=10):
        super().__init__()
        layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        self.body, self.last = nn.Sequential(*layers), nn.Linear(32, n_classes)

    def forward(self, x):
        return self.last(self.body(x))


def net(module=Norms, batch_size=32, lr=0.05, kind=NeuralNetClassifier, **params):
    settings = {"lr": lr, "batch_size": batch_size, "train_split": None, "verbose": 0}
    return kind(module, criterion=nn.CrossEntropyLoss, **settings, **params)


def linear():
    """Trained row by row: the share of every rank but the first is empty."""
    return net(nn.Linear, batch_size=1, lr=1e-3, module__in_features=64, module__out_features=10)


class Items(Dataset):
    """Rows that are read one by one; ``bad`` is one that cannot be."""

    def __init__(self, X, bad=None):
        self.X, self.bad = torch.as_tensor(X).float(), bad

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        if i == self.bad:
            raise OSError("no such picture")
        return self.X[i]


def fitted(X, y, sample_weight=None, **params):
    """What is compared of a fit."""
    clf = FlywheelClassifier(**params).fit(X, y, sample_weight)
    found = {"proba": clf.predict_proba(X), "clean": clf.clean_proba_, "T": clf.transition_matrix_}
    found["n_folds"] = int(clf.decisions_.set_index("decision").loc["n_folds", "chosen"])
    names = [name for name in clf.history_ if not name.endswith("_seconds")]
    return found | {"history": clf.history_[names].to_numpy(np.float64), "y_hat": clf.refurbished_labels_}


def of_digits(n=600, **params):
    X, y, _ = digits(n)
    return fitted(X, y, **params)


def pictures():
    X, y, _ = digits(120)
    # bf16 has three digits, too few to compare two processes to 1e-4
    with mock.patch("noisyflywheel.estimator.job.assemble.bf16_pays", lambda device: False):
        return fitted(X.reshape(-1, 8, 8).astype(np.float32) / 16, y, main_net=net(Pictures), **QUICK)


def table():
    """Nets with folds, without the masks of dropout: those each rank draws for itself."""
    X, y = load_iris(return_X_y=True)
    with mock.patch("torch.nn.functional.dropout", lambda x, p: x):
        return fitted(X, symmetric(y, 0.2, random_state=0), **QUICK | {"n_folds": 3})


def begun_again():
    """One net on all rows whose y^ is one class in two cycles: the guard gives it up, nets with folds follow."""
    X, y, _ = digits(250)
    resample = Flywheel._resample

    def turned(self, rows):
        resample(self, rows)
        self.state.y_hat[:] = 0

    no_dropout = mock.patch("torch.nn.functional.dropout", lambda x, p: x)
    with mock.patch.object(Flywheel, "_resample", turned), no_dropout, warnings.catch_warnings():
        warnings.simplefilter("ignore", FlywheelWarning)
        return fitted(X, y, **QUICK)


def sampled():
    """Parts of the rows in each cycle, weights, and the large form of the loop."""
    X, y, _ = digits(200)
    with mock.patch("noisyflywheel.estimator.job.assemble.LARGE", 1):
        return fitted(X, y, np.linspace(0, 2, len(y)).round(1), **QUICK, cycle_size=100)


def of_dataset():
    X, y, true = digits(300)
    found = fitted(Items(X / 16), y, main_net=net(), **QUICK | {"n_cycles": 6, "mixup_alpha": 1.0})
    return found | {"accuracy": (found["proba"].argmax(1) == true).mean()}


def fifty():
    found = of_digits(1797, random_state=0, n_cycles=50)
    return {"accuracy": (found["proba"].argmax(1) == digits(1797)[2]).mean()}


class Interrupted(Exception):
    """Stands for the end of a machine."""


def failing_in(cycle):
    """A callback that ends the fit in this cycle."""

    def on_cycle(flywheel, row):
        if row["cycle"] == cycle:
            raise Interrupted

    return on_cycle


def checkpointed(folder, fails_in=None):
    """A fit that leaves a checkpoint after each cycle and may fail in one."""

    def due(self, seconds=0.0):
        return self.folder is not None

    with mock.patch("noisyflywheel.loop.watch.checkpoints.FitCheckpoints.due", due):
        return of_digits(150, **LONGER, checkpoint_dir=folder, on_cycle=failing_in(fails_in))


def interrupted(folder):
    """Leaves two copies of what it wrote: one for the ranks to go on with, one for others."""
    with contextlib.suppress(Interrupted):
        checkpointed(folder / "for_others", fails_in=2)
    if os.environ["RANK"] == "0":
        shutil.copytree(folder / "for_others", folder / "for_ranks")
    return {}


def resumed(folder):
    return checkpointed(folder / "for_ranks")


def dropped(folder):
    """A table whose nets have dropout, interrupted and resumed; ``whole`` is the same fit without a stop."""

    def fit(fails_in=None, **params):
        with mock.patch(
            "noisyflywheel.loop.watch.checkpoints.FitCheckpoints.due", lambda self, seconds=0.0: bool(self.folder)
        ):
            X, y = load_iris(return_X_y=True)
            return fitted(X, y, **LONGER, n_folds=3, on_cycle=failing_in(fails_in), **params)["proba"]

    with contextlib.suppress(Interrupted):
        fit(3, checkpoint_dir=folder / "dropped")
    return {"whole": fit(), "proba": fit(checkpoint_dir=folder / "dropped")}


CASES = {
    "digits": lambda: of_digits(200, random_state=0, n_cycles=5),
    "mixed": lambda: of_digits(100, **QUICK, mixup_alpha=4.0, contrastive_weight=0.5),
    "norms": lambda: of_digits(200, **QUICK, main_net=net()),
    "lazy_norms": lambda: of_digits(100, **QUICK, main_net=net(lazy_norms)),
    "two_modules": lambda: of_digits(100, **QUICK, main_net=net(kind=Stemmed), average_epochs=1),
    "two_inputs": lambda: of_digits(100, **QUICK, main_net=net(Joined, kind=InHalves, lr=1e-3)),
    "row_by_row": lambda: of_digits(40, **QUICK, main_net=linear()),
    "two_nets": lambda: of_digits(100, **QUICK, main_net=net(), aux_net=net(batch_size=50), average_epochs=1),
    "no_auxiliary": lambda: of_digits(100, **QUICK, refurbish=False),
    "table": table,
    "pictures": pictures,
    "begun_again": begun_again,
    "sampled": sampled,
    "whole": lambda: of_digits(150, **LONGER),
    "any_seed": lambda: of_digits(100, **QUICK | {"random_state": None}),
    "dataset": of_dataset,
    "full": lambda: of_digits(1797, random_state=0, n_cycles=5),
    "fifty": fifty,
}
WITH_FOLDER = {"interrupted": interrupted, "resumed": resumed, "dropped": dropped}
EQUAL = ["digits", "mixed", "norms", "row_by_row", "two_nets", "no_auxiliary", "table", "pictures", "begun_again"]
EQUAL += ["sampled", "whole", "lazy_norms", "two_modules", "two_inputs"]
"""Cases that do not depend on the number of processes."""

FAST = [*EQUAL, *WITH_FOLDER, "any_seed", "dataset"]


def main(folder, *names):
    folder = Path(folder)
    torch.set_num_threads(1)
    for name in names:
        found = CASES[name]() if name in CASES else WITH_FOLDER[name](folder)
        np.savez(folder / f"{name}.{os.environ['RANK']}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
