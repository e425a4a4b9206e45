"""The pictures of the parts: synthetic ones for timing, CIFAR-10's JPEG copies for accuracy."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cifar10n_archive import load_archive
from sklearn.datasets import load_digits

from noisyflywheel.noise import asymmetric, symmetric

HUMAN = {"aggre": "aggre", "random1": "random1", "worst": "worse"}
"""Set of CIFAR-10N's human labels, by the archive's member ``y_<name>``."""

RATES = {"sym20": 0.2, "sym50": 0.5, "sym80": 0.8, "sym90": 0.9}
ASYMMETRIC = 0.4
SETS = ("sym50", "worst", "asym40", "aggre", "random1", "sym20", "sym80", "sym90")
"""In order of value."""


@dataclass
class Pictures:
    """Training rows with given and true labels, and test rows with true labels."""

    X: np.ndarray
    given: np.ndarray
    true: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    source: str


def synthetic(n: int, side: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random 8-bit pictures (n, side, side, 3) and labels (n,): a cycle costs what it costs on real ones."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8), np.arange(n) % 10


def noisy_set(name: str, path: Path | None, cache: Path, tiny: bool) -> Pictures:
    """One set of given labels; tiny without an archive: scikit-learn's digits stand in for CIFAR-10."""
    if path is None:
        return _digits(name)
    rows = (120, 60) if tiny else (None, None)
    data = _archive(path, HUMAN.get(name, "clean"), cache, rows)
    if name not in HUMAN:
        data.given = inject(data.true, name)
    return data


def inject(y: np.ndarray, name: str) -> np.ndarray:
    """Wrong labels by the name of the set."""
    if name == "asym40":
        return asymmetric(y, ASYMMETRIC, mapping="cifar10", random_state=0)
    return symmetric(y, RATES[name], random_state=0)


def _digits(name: str) -> Pictures:
    X, y = load_digits(return_X_y=True)
    X = np.repeat((X * 15).astype(np.uint8).reshape(-1, 8, 8, 1), 3, axis=3)
    given = inject(y[:120], name if name not in HUMAN else "sym20")
    return Pictures(X[:120], given, y[:120], X[120:180], y[120:180], "scikit-learn's digits, only to show that it runs")


def _archive(path: Path, labels: str, cache: Path, rows: tuple[int | None, int | None]) -> Pictures:
    X, X_test = (_decoded(path, train, cache, n) for train, n in zip((True, False), rows, strict=True))
    with np.load(path, allow_pickle=False) as archive:
        given, true = (archive[f"y_{name}"].astype(np.int64)[: len(X)] for name in (labels, "clean"))
        y_test = archive["y_test"].astype(np.int64)[: len(X_test)]
    return Pictures(X, given, true, X_test, y_test, "CIFAR-10 as JPEG copies")


def _decoded(path: Path, train: bool, cache: Path, rows: int | None) -> np.ndarray:
    """Decoded once and kept beside the results: processes side by side read the same file."""
    file = cache / f"{'train' if train else 'test'}-{rows or 'all'}.npy"
    if not file.exists():
        X = load_archive(path, "clean", train=train, n_rows=rows).X
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}.part")
        with open(unfinished, "wb") as stream:
            np.save(stream, X)
        os.replace(unfinished, file)
    return np.load(file)
