"""The guard: notices a loop that turns against itself, and holds it back, or one that diverges.

A healthy loop changes labels, not the proportions of the classes, and keeps a good part of the labels that f agreed
with after the warm-up. A loop that replaces labels by worse guesses shows it without clean labels: one class takes over
y^, or gamma runs to 0. The run then goes back to the last good state and goes on with cautious settings; if that does
not help it stops there, and `noisyflywheel.estimator.fit` may begin again with folds.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from noisyflywheel.em.counts import class_counts
from noisyflywheel.exceptions import ADVICE, DivergenceError, FlywheelWarning
from noisyflywheel.loop.state import Settings

LEAST_ROWS = 200
"""With fewer rows class proportions sway by chance, and the guard keeps quiet."""

DRIFT_MOST = 0.3
"""Most by which class proportions of y^ may be off both those of the given labels and of f after the warm-up."""

GAMMA_FALL = 0.33
"""Least gamma, as a share of the first one."""

TURNED_ADVICE = "Look at history_, try a longer warm-up, stronger nets or more data"


class Guard:
    """Compares each cycle with the labels and the nets as they were after the warm-up.

    Parameters
    ----------
    references : list of Tensor of shape (K,)
        Class proportions that y^ should be near to one of.
    first_gamma : float
        gamma after the warm-up.

    Attributes
    ----------
    has_gone_back : bool
        Whether the loop was already held back once.
    """

    def __init__(self, references: list[Tensor], first_gamma: float) -> None:
        self.references, self.first_gamma = references, first_gamma
        self.has_gone_back = False

    @classmethod
    def after_warm_up(cls, given: Tensor, predicted: Tensor, n_classes: int, gamma: Tensor) -> Guard:
        """Compare with the given labels and with the classes that f predicts as they are now: (N,) each."""
        return cls([class_shares(labels, n_classes) for labels in (given, predicted)], float(gamma))

    def complaint(self, y_hat: Tensor, gamma: float, after_ramp: bool) -> str | None:
        """What is wrong after a cycle, or None.

        Parameters
        ----------
        y_hat : Tensor of shape (N,), int64
            Resampled labels.
        gamma : float
            Means little before the regularizer has its weight.
        after_ramp : bool
            Whether it has.
        """
        if len(y_hat) < LEAST_ROWS:
            return None
        shares = class_shares(y_hat, len(self.references[0]))
        drift = min(float((shares - reference).abs().sum()) / 2 for reference in self.references)
        if drift > DRIFT_MOST:
            return f"the class proportions of the resampled labels are off by {drift:.0%}"
        if after_ramp and gamma < GAMMA_FALL * self.first_gamma:
            return f"gamma fell from {self.first_gamma:.2f} to {gamma:.2f}"
        return None

    def state_dict(self) -> dict[str, Any]:
        """What the guard compares with, and whether it has struck."""
        return {"references": self.references, "first_gamma": self.first_gamma, "has_gone_back": self.has_gone_back}

    @classmethod
    def from_state_dict(cls, saved: dict[str, Any], device: torch.device) -> Guard:
        """The guard whose `state_dict` this is."""
        guard = cls([reference.to(device) for reference in saved["references"]], saved["first_gamma"])
        guard.has_gone_back = saved["has_gone_back"]
        return guard


def class_shares(labels: Tensor, n_classes: int) -> Tensor:
    """Share of each class among labels (n,): shape (K,), sums to 1."""
    return class_counts(labels, n_classes).double() / max(1, len(labels))


def cautious_settings(settings: Settings, agreement: float) -> Settings:
    """Settings that hold a loop back: calibrated E-steps, a regularizer no stronger than the noise, no MixUp.

    ``agreement`` is the share of the given labels that f predicts, in [0, 1].
    """
    weight = min(settings.cr_weight, 1.0 - agreement)
    return replace(settings, calibrate=True, cr_weight=weight, mixup_alpha=0.0, resample="posterior")


def check_finite(row: dict[str, float], refurbish: bool) -> None:
    """Raise `DivergenceError` if a loss of the cycle with this row, gamma or a prediction is NaN or infinite."""
    for name in ("main_loss", "gamma", "f_entropy", *(["auxiliary_loss"] if refurbish else [])):
        check_number(name, row[name], f"cycle {int(row['cycle'])}")


def check_number(name: str, value: float, when: str) -> None:
    """Raise `DivergenceError` if ``value`` is NaN or infinite; ``when`` is the cycle or epoch."""
    if not math.isfinite(value):
        raise DivergenceError(f"{name} became {value} in {when}: {ADVICE}")


def warn_of_turning(message: str, advice: str = TURNED_ADVICE) -> None:
    """Warn of a loop that replaces labels by worse guesses."""
    warnings.warn(
        f"The loop turned against itself: {message}. {advice}; guard=False turns this check off.",
        FlywheelWarning,
        stacklevel=2,
    )
