"""What the two EM cycles know about each row and about the classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass
class Settings:
    """The flywheel's parameters after validation; names as in `FlywheelClassifier`.

    And what follows from them: rounds of cycles at most, and cycles before a second start (0: none).
    """

    n_warmup_epochs: int | str
    n_cycles: int
    cycle_size: int | None
    cr_weight: float
    cr_ramp: int
    contrastive_weight: float
    mixup_alpha: float
    sharpen_temperature: float
    average_epochs: float
    noise_model: str
    resample: str
    calibrate: bool | str
    guard: bool
    refurbish: bool
    distribution_alignment: float = 0.0
    n_rounds: int = 1
    n_first_cycles: int = 0


@dataclass
class FlywheelState:
    """Everything that Eqs. (4)-(14) carry from one cycle to the next.

    Attributes
    ----------
    given : Tensor of shape (N,), int64
        Given labels ``y~``.
    gamma : scalar Tensor
        Proportion of clean labels.
    q : Tensor of shape (N,)
        Clean probabilities, Eq. (4).
    eps : Tensor of shape (N,)
        Probability of each given label if it is corrupted, Eq. (14).
    f_prob : Tensor of shape (N, K)
        The last prediction of f; the only array of this size.
    y_hat : Tensor of shape (N,), int64
        Resampled labels.
    transition, corruption : Tensor of shape (K, K)
        T and T_c, rows = true class, columns = given class.
    quality_sum : Tensor of shape (N,)
        Sum over the cycles of the ranking score (`loop.main_em.ranking_score`).
    n_scored : Tensor of shape (N,)
        How many cycles have scored each row.
    q_sum, f_given_sum, n_late : Tensor of shape (N,)
        Sums of q and of f's probability of the given label over the later half of the cycles, and their count.
    temperature : float
        The calibrated temperature of g; 1 leaves g as it is.
    cycle : int
        Cycles done.
    agreement : float
        Share of the given labels that f predicted after the last cycle; NaN before the first one.
    view_strength : float
        How strong views are, in units of their own noise, where the loop may change it
        (`loop.decisions.view_strength`).
    """

    given: Tensor
    gamma: Tensor
    q: Tensor
    eps: Tensor
    f_prob: Tensor
    y_hat: Tensor
    transition: Tensor
    corruption: Tensor
    quality_sum: Tensor
    n_scored: Tensor
    q_sum: Tensor
    f_given_sum: Tensor
    n_late: Tensor
    temperature: float = 1.0
    cycle: int = 0
    agreement: float = math.nan
    view_strength: float = 1.0

    @classmethod
    def start(cls, given: Tensor, n_classes: int, gamma: float, f_prob: Tensor | None = None) -> FlywheelState:
        """The state after warm-up (Sec. 4.1): ``eps = 1/K``, gamma as given, y^ = the given labels, f even."""
        n, device = len(given), given.device
        uniform = torch.full((n_classes, n_classes), 1.0 / n_classes, dtype=torch.float64, device=device)
        zeros = torch.zeros(n, dtype=torch.float64, device=device)
        return cls(
            given=given,
            gamma=torch.tensor(gamma, dtype=torch.float64, device=device),
            q=torch.full((n,), gamma, dtype=torch.float64, device=device),
            eps=torch.full((n,), 1.0 / n_classes, dtype=torch.float64, device=device),
            f_prob=torch.full((n, n_classes), 1.0 / n_classes, device=device) if f_prob is None else f_prob,
            y_hat=given.clone(),
            transition=uniform.clone(),
            corruption=uniform,
            quality_sum=zeros.clone(),
            n_scored=zeros.clone(),
            q_sum=zeros.clone(),
            f_given_sum=zeros.clone(),
            n_late=zeros,
        )

    def add_score(self, rows: Tensor, score: Tensor) -> None:
        """Count the ranking score (B,) of one cycle."""
        self.quality_sum[rows] += score
        self.n_scored[rows] += 1

    def add_posterior(self, rows: Tensor, given: Tensor) -> None:
        """Count q and f's probability of the given label (B,), for the calibrated clean probability."""
        self.q_sum[rows] += self.q[rows]
        self.f_given_sum[rows] += self.f_prob[rows, given]
        self.n_late[rows] += 1

    def state_dict(self) -> dict[str, Any]:
        """Every attribute by name, copied."""
        return {f.name: _copied(getattr(self, f.name)) for f in fields(self)}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Put back what `state_dict` returned, on the device of the present state."""
        for name, value in saved.items():
            moved = value.to(self.given.device).clone() if isinstance(value, Tensor) else value
            setattr(self, name, moved)

    @property
    def n_classes(self) -> int:
        """K."""
        return self.f_prob.shape[1]


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
