"""The guard: notices a loop that turns against itself, and holds it back.

A healthy loop changes labels, not the proportions of the classes, and keeps a good part of the labels that f agreed
with after the warm-up. A loop that replaces labels by worse guesses shows it without clean labels: one class takes over
y^, or gamma runs to 0. The guard then goes back to the last good state and goes on carefully; if that does not help it
stops there.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.exceptions import FlywheelWarning
from noisyflywheel.loop import snapshot
from noisyflywheel.loop.flywheel import Flywheel

LEAST_ROWS = 200
"""With fewer rows class proportions sway by chance, and the guard keeps quiet."""

DRIFT_MOST = 0.3
"""Most by which class proportions of y^ may be off both those of the given labels and of f after the warm-up."""

GAMMA_FALL = 0.33
"""Least gamma, as a share of the first one."""


class Guard:
    """Watches one flywheel.

    Parameters
    ----------
    wheel : Flywheel
        After its warm-up.
    """

    def __init__(self, wheel: Flywheel) -> None:
        self.wheel = wheel
        labels = (wheel.given, wheel.state.f_prob.argmax(1))
        self.references = [class_shares(some, wheel.n_classes) for some in labels]
        self.first_gamma = float(wheel.state.gamma)
        self.careful = False
        self.good: dict[str, Any] = snapshot.take(wheel)

    def allows(self, row: dict[str, float]) -> bool:
        """After a cycle: True to go on, False to stop here with the last good state."""
        reason = self.complaint(row)
        if reason is None:
            self.good = snapshot.take(self.wheel)
            return True
        cycle = self.wheel.state.cycle
        snapshot.put_back(self.wheel, self.good)
        if self.careful:
            self._warn(f"{reason} in cycle {cycle} again: stopped with the state before it")
            return False
        self.careful = True
        self.wheel.settings = careful(self.wheel)
        self._warn(f"{reason} in cycle {cycle}: went back to the state before it and on with care")
        return True

    def state_dict(self) -> dict[str, Any]:
        """What the guard compares with, and whether it has struck; the good state is not in it."""
        return {"references": self.references, "first_gamma": self.first_gamma, "careful": self.careful}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Put back what `state_dict` returned; the wheel's present state is the good one."""
        self.references = [reference.to(self.wheel.given.device) for reference in saved["references"]]
        self.first_gamma, self.careful = saved["first_gamma"], saved["careful"]

    def complaint(self, row: dict[str, float]) -> str | None:
        """What is wrong after this cycle, or None."""
        s = self.wheel.state
        if len(s.given) < LEAST_ROWS:
            return None
        shares = class_shares(s.y_hat, self.wheel.n_classes)
        drift = min(float((shares - reference).abs().sum()) / 2 for reference in self.references)
        if drift > DRIFT_MOST:
            return f"the class proportions of the resampled labels are off by {drift:.0%}"
        if s.cycle - self.wheel.first_cycle <= self.wheel.settings.cr_ramp:
            return None  # gamma means little before the regularizer has its weight
        if row["gamma"] < GAMMA_FALL * self.first_gamma:
            return f"gamma fell from {self.first_gamma:.2f} to {row['gamma']:.2f}"
        return None

    @staticmethod
    def _warn(message: str) -> None:
        warnings.warn(
            f"The loop turned against itself: {message}. Look at history_, try a longer warm-up, stronger nets or "
            f"more data; guard=False turns this check off.",
            FlywheelWarning,
            stacklevel=2,
        )


def class_shares(labels: Tensor, n_classes: int) -> Tensor:
    """Share of each class among labels (n,): shape (K,), sums to 1."""
    return torch.bincount(labels, minlength=n_classes).double() / max(1, len(labels))


def careful(wheel: Flywheel) -> Any:
    """Settings that hold a loop back: calibrated E-steps, a regularizer no stronger than the noise, no MixUp."""
    most = 1.0 - float(em.agreement(wheel.state.f_prob, wheel.given))
    weight = min(wheel.settings.cr_weight, most)
    return replace(wheel.settings, calibrate=True, cr_weight=weight, mixup_alpha=0.0, resample="posterior")
