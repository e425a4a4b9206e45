"""Labelled data with known wrong labels for the audit benchmarks; `--data DIR` holds the .npz files."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from noisyflywheel.noise import asymmetric, symmetric


@dataclass
class Labelled:
    """Rows X (n, d) with given and true labels (n,), and clean test rows."""

    X: np.ndarray
    given: np.ndarray
    true: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        return self.given != self.true


def load(name: str, folder: Path | None, seed: int) -> Labelled:
    """Data set by name: "digits:sym0.2", "digits:asym0.4", "banking:sym0.5", "agnews", "labelme:majority" …

    Digits are split 70/30, stratified by class; split and noise have the given seed. Human labels do not
    depend on it.
    """
    kind, _, option = name.partition(":")
    if kind == "digits":
        X, y = load_digits(return_X_y=True)
        X, X_test, y, y_test = train_test_split(X.astype(np.float32), y, test_size=0.3, stratify=y, random_state=seed)
        return Labelled(X, add_noise(y, option, seed), y, X_test, y_test)
    if folder is None:
        raise SystemExit(f"{name} needs --data DIR")
    if kind == "banking":
        z = np.load(folder / "banking77_minilm.npz")
        y = z["y_train"].astype(int)
        given = add_noise(y, option, seed)
        return Labelled(f32(z["X_train"]), given, y, f32(z["X_test"]), z["y_test"].astype(int))
    if kind == "agnews":
        z = np.load(folder / "noisyagnews_minilm.npz")
        given = z["y_train_human"].astype(int)
    else:
        z = np.load(folder / "labelme_vgg.npz")
        given = z[f"y_train_{option}"].astype(int)
    true = z["y_train_clean"].astype(int)
    return Labelled(f32(z["X_train"]), given, true, f32(z["X_test"]), z["y_test"].astype(int))


def add_noise(y: np.ndarray, option: str, seed: int) -> np.ndarray:
    """Labels with "sym0.5" or "asym0.4" noise."""
    if option.startswith("asym"):
        return np.asarray(asymmetric(y, float(option[4:]), random_state=seed))
    return np.asarray(symmetric(y, float(option[3:]), random_state=seed))


def f32(X: np.ndarray) -> np.ndarray:
    return X.astype(np.float32)


def calibration_error(proba: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over 10 equal bins of [0, 1]."""
    place = np.minimum((proba * 10).astype(int), 9)
    gap = np.bincount(place, proba, 10) - np.bincount(place, right, 10)
    return float(np.abs(gap).sum() / len(proba))


def environment() -> dict[str, str]:
    """Versions and machine that the numbers belong to."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("noisyflywheel", "cleanlab", "scikit-learn", "torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
