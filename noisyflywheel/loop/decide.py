"""Deciding without clean labels: candidates are compared by the given labels of rows that they were not trained on.

Under noise that favours no wrong class over the true one, the classifier that is right most often also agrees most
often with noisy labels (Chen, Ye, Chen, Zhao and Heng, "Robustness of Accuracy Metric and its Inspirations in Learning
with Noisy Labels", AAAI 2021).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

CLEARLY = 1.0
"""A candidate is clearly better when it wins so many standard deviations more rows than it loses."""


class Decision(NamedTuple):
    """One choice between two candidates; a row of ``decisions_``."""

    decision: str
    chosen: str
    candidate: str
    alternative: str
    agreement: float
    """Share of held-out given labels that the candidate predicts."""
    alternative_agreement: float
    z: float
    """Rows won less rows lost by the candidate, in standard deviations of chance."""
    log_likelihood: float
    """Mean log-probability of the held-out given labels."""
    alternative_log_likelihood: float
    n_rows: int


def sign_test(first: Tensor, second: Tensor) -> float:
    """Rows that only ``first`` has less rows that only ``second`` has, in standard deviations: bool (n,) each."""
    won, lost = float((first & ~second).sum()), float((second & ~first).sum())
    return (won - lost) / max(won + lost, 1.0) ** 0.5


def compare(
    decision: str, candidate: str, alternative: str, prob: Tensor, other: Tensor, given: Tensor, needs: float = CLEARLY
) -> Decision:
    """Take the candidate where it agrees clearly better with held-out labels than the alternative.

    Parameters
    ----------
    decision, candidate, alternative : str
        Names.
    prob, other : Tensor of shape (n, K)
        Their predictions on rows that neither was trained on.
    given : Tensor of shape (n,), int64
        Given labels of these rows.
    needs : float
        z above which the candidate is taken.
    """
    right, other_right = prob.argmax(1) == given, other.argmax(1) == given
    z = sign_test(right, other_right)
    return Decision(
        decision,
        candidate if z > needs else alternative,
        candidate,
        alternative,
        float(right.double().mean()),
        float(other_right.double().mean()),
        z,
        log_likelihood(prob, given),
        log_likelihood(other, given),
        len(given),
    )


def log_likelihood(prob: Tensor, given: Tensor) -> float:
    """Mean log-probability of given labels: ``prob`` (n, K), ``given`` (n,)."""
    return float(prob.double().gather(1, given[:, None]).clamp_min(1e-30).log().mean())


def as_table(decisions: list[Decision]) -> list[dict[str, Any]]:
    """Rows for a DataFrame."""
    return [decision._asdict() for decision in decisions]
