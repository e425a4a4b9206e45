"""A benchmark ready to run: pictures, given labels with the noise asked for, the truth where it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisyflywheel import datasets, noise
from noisyflywheel.datasets import NoisyData

Labels = NDArray[np.int64]

SYNTHETIC = ("clean", "sym", "asym", "idn")
HUMAN = {  # member of CIFAR-10N's and CIFAR-100N's published label files
    "worse": "worse_label",
    "aggre": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "human": "noisy_label",
}
NOISES = {
    "cifar10": (*SYNTHETIC, "worse", "aggre", "random1", "random2", "random3"),
    "cifar100": (*SYNTHETIC, "human"),
    "tiny-imagenet": ("clean", "sym", "idn"),
    "clothing1m": ("real",),
    "webvision": ("real",),
}
"""Kinds of noise that each data set can have."""

Reader = Callable[[Path, str], tuple[NoisyData, NoisyData, str]]
"""From a folder and a kind of noise to training data, test data and a note for `Benchmark`."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Training rows with given labels, test rows with true ones.

    Attributes
    ----------
    X, X_test : ndarray of shape (n, H, W, 3), uint8, or Dataset
    y : ndarray of shape (n,), int64
        Given labels.
    y_true : ndarray of shape (n,), int64, or None
        True labels of the training rows where they are known.
    y_test : ndarray of shape (n_test,), int64
    class_names : tuple of K str
    note : str
        What a reader of the numbers must know about the data; may be empty.
    """

    X: Any
    y: Labels
    y_true: Labels | None
    X_test: Any
    y_test: Labels
    class_names: tuple[str, ...]
    note: str = ""


def load_benchmark(
    name: str,
    folder: Path,
    noise_kind: str,
    rate: float | None,
    seed: int,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    label_file: Path | None = None,
    member: str | None = None,
    read: Reader | None = None,
) -> Benchmark:
    """Read a data set and give its training rows noisy labels.

    Parameters
    ----------
    name : str
        One of `NOISES`.
    folder : Path
        Where the published files lie, as `noisyflywheel.datasets` reads them.
    noise_kind : str
        One of ``NOISES[name]``.
    rate : float or None
        Of synthetic noise.
    seed : int
        Of synthetic noise.
    n_train, n_test : int, optional
        The first rows only.
    label_file, member : path and str, optional
        Published given labels instead of generated ones, as `noisyflywheel.datasets.load_label_file` reads
        them.
    read : callable, optional
        Reads the data set in another form than the published one.

    Raises
    ------
    FileNotFoundError, ValueError
        For missing or damaged files, or noise that the data set cannot have; the message names it.
    """
    check_noise(name, noise_kind, rate)
    train, test, note = (read or _READERS[name])(folder, noise_kind)
    X, y, y_true = _first(train, n_train)
    if label_file is not None:
        y = datasets.load_label_file(label_file, member)
        if len(y) != len(train.y):
            raise ValueError(f"{label_file} has {len(y)} labels for {len(train.y)} pictures")
        y = y[: len(X)]
    elif noise_kind in SYNTHETIC:
        y = add_noise(name, X, y if y_true is None else y_true, noise_kind, rate or 0.0, seed)
    X_test, y_test, _ = _first(test, n_test)
    return Benchmark(X, y, y_true, X_test, y_test, train.class_names, note)


def check_noise(name: str, kind: str, rate: float | None) -> None:
    """Refuse noise that a data set cannot have, and a rate where there is none to choose."""
    if kind not in NOISES[name]:
        raise ValueError(f"--noise {kind} is not for {name}; it has {', '.join(NOISES[name])}")
    needs = kind in SYNTHETIC and kind != "clean"
    if needs and rate is None:
        raise ValueError(f"--noise {kind} needs --rate, the share of labels that it changes")
    if rate is not None and not (needs and 0 <= rate <= 1):
        raise ValueError(f"--rate {rate} does not go with --noise {kind}" if not needs else "--rate must be in [0, 1]")


def add_noise(name: str, X: Any, y: Labels, kind: str, rate: float, seed: int) -> Labels:
    """Noisy labels (n,) for true labels ``y`` (n,), as Sec. 4.2 describes each kind."""
    if kind == "sym":
        return noise.symmetric(y, rate, random_state=seed)
    if kind == "asym":
        return noise.asymmetric(y, rate, mapping=name, random_state=seed)
    if kind == "idn":
        return noise.instance_dependent(X, y, rate, random_state=seed)
    return y.copy()


def _first(data: NoisyData, n: int | None) -> tuple[Any, Labels, Labels | None]:
    """The first n rows, all if None: pictures, given labels, true labels."""
    if n is None or n >= len(data.y):
        return data.X, data.y, data.y_clean
    X: Any
    if isinstance(data.X, datasets.ImageFiles):
        X = datasets.ImageFiles(data.X.paths[:n], data.X.y[:n], data.X.size)
    else:
        X = data.X[:n]
    return X, data.y[:n], None if data.y_clean is None else data.y_clean[:n]


def _read_cifar10(folder: Path, kind: str) -> tuple[NoisyData, NoisyData, str]:
    return _read_torchvision(datasets.load_cifar10, folder, kind, "CIFAR-10_human.pt")


def _read_cifar100(folder: Path, kind: str) -> tuple[NoisyData, NoisyData, str]:
    return _read_torchvision(datasets.load_cifar100, folder, kind, "CIFAR-100_human.pt")


def _read_torchvision(
    load: Callable[..., NoisyData], folder: Path, kind: str, labels: str
) -> tuple[NoisyData, NoisyData, str]:
    """CIFAR in torchvision's folders, human labels from the published file beside them."""
    human = {"label_file": folder / labels, "member": HUMAN[kind]} if kind in HUMAN else {}
    return load(folder, **human), load(folder, train=False), ""


def _read_tiny_imagenet(folder: Path, kind: str) -> tuple[NoisyData, NoisyData, str]:
    load = datasets.load_tiny_imagenet
    return load(folder), load(folder, train=False), ""


def _read_clothing1m(folder: Path, kind: str) -> tuple[NoisyData, NoisyData, str]:
    train = datasets.load_clothing1m(folder, verify=False)
    return train, datasets.load_clothing1m(folder, "test", verify=False), ""


def _read_webvision(folder: Path, kind: str) -> tuple[NoisyData, NoisyData, str]:
    load = datasets.load_webvision
    return load(folder, verify=False), load(folder, train=False, verify=False), ""


_READERS: dict[str, Reader] = {
    "cifar10": _read_cifar10,
    "cifar100": _read_cifar100,
    "tiny-imagenet": _read_tiny_imagenet,
    "clothing1m": _read_clothing1m,
    "webvision": _read_webvision,
}
