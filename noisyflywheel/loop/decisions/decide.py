"""Deciding without clean labels: candidates are compared by the given labels of rows that they were not trained on.

Under noise that favours no wrong class over the true one, the classifier that is right most often also agrees most
often with noisy labels (Chen, Ye, Chen, Zhao and Heng, "Robustness of Accuracy Metric and its Inspirations in Learning
with Noisy Labels", AAAI 2021).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

CLEARLY = 1.0
"""Standard deviations of chance by which a candidate has to win to count as much as the alternative."""


class Decision(NamedTuple):
    """One choice; a row of ``decisions_``. Figures are NaN where no candidates were compared."""

    decision: str
    chosen: str
    reason: str = ""
    share: float = 1.0
    """Weight of the candidate, in [0, 1]."""
    candidate: str = ""
    alternative: str = ""
    agreement: float = math.nan
    """Share of held-out given labels that the candidate predicts."""
    alternative_agreement: float = math.nan
    z: float = math.nan
    """Rows won less rows lost by the candidate, in standard deviations of chance."""
    log_likelihood: float = math.nan
    """Mean log-probability of the held-out given labels."""
    alternative_log_likelihood: float = math.nan
    n_rows: int = 0


def sign_test(first: Tensor, second: Tensor) -> float:
    """Rows that only ``first`` has less rows that only ``second`` has, in standard deviations: bool (n,) each."""
    won, lost = float((first & ~second).sum()), float((second & ~first).sum())
    return (won - lost) / max(won + lost, 1.0) ** 0.5


def share_of(z: float, needs: float) -> float:
    """``Phi(z - needs)``: how much a candidate counts that wins by ``z`` standard deviations."""
    return 0.5 * (1 + math.erf((z - needs) / math.sqrt(2)))


def compare(
    decision: str,
    candidate: str,
    alternative: str,
    prob: Tensor,
    other: Tensor,
    given: Tensor,
    needs: float = CLEARLY,
) -> Decision:
    """Weigh a candidate by how sure it is that it agrees better with held-out labels than the alternative.

    Its share is ``Phi(z - needs)``: with ``needs=1`` one that wins as many rows as it loses counts little, and one that
    wins a standard deviation of chance more counts half. No threshold turns a small difference into a large one.

    Parameters
    ----------
    decision, candidate, alternative : str
        Names.
    prob, other : Tensor of shape (n, K)
        Their predictions on rows that neither was trained on.
    given : Tensor of shape (n,), int64
        Given labels of these rows.
    needs : float
        Standard deviations of chance by which the candidate has to win to count half; below 0 it may lose some.
    """
    right, other_right = prob.argmax(1) == given, other.argmax(1) == given
    z = sign_test(right, other_right)
    share = share_of(z, needs)
    return Decision(
        decision=decision,
        chosen=candidate if share > 0.5 else alternative,
        reason="agreement with labels of unseen rows",
        share=share,
        candidate=candidate,
        alternative=alternative,
        agreement=float(right.double().mean()),
        alternative_agreement=float(other_right.double().mean()),
        z=z,
        log_likelihood=log_likelihood(prob, given),
        alternative_log_likelihood=log_likelihood(other, given),
        n_rows=len(given),
    )


def log_likelihood(prob: Tensor, given: Tensor) -> float:
    """Mean log-probability of given labels: ``prob`` (n, K), ``given`` (n,)."""
    return float(prob.double().gather(1, given[:, None]).clamp_min(1e-30).log().mean())
