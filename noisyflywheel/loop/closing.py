"""The closing E-step: what a fit says of rows, labels and classes at its end."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.em.sharpness import posterior_and_division
from noisyflywheel.loop.state import FlywheelState

BAYES_SHARE = 0.3
"""Share of `em.bayes_posterior` in the clean probability; the rest is Eq. (11) averaged over cycles. Alone, Eq. (11)
counts a tenth too many errors among 77 classes, and T too few of those that humans make."""

TEMPERATURES = (0.4, 0.6, 0.8, 1.0, 1.25)
"""Tried for predictions that a T was divided out of: members are a little less sure than they are right, and of errors
that a T explains Richardson's iteration leaves some."""

SAY = 1 / 3
"""Weight of a judge of another kind, neighbours or forests, in the ranking score."""


class Closing(NamedTuple):
    """The end of a fit, from which the fitted attributes are made."""

    predicted: Tensor
    """f's most likely class: (N,), int64."""
    confidence: Tensor
    """f's probability of that class: (N,)."""
    refurbished: Tensor
    """Distribution of the true label, given the label: (N, K), rows sum to 1."""
    quality: Tensor
    """Ranking score of the given labels in [0, 1], higher = more likely right: (N,)."""
    posterior: Tensor
    """Probability that the given label is the true class: (N,). It counts wrong labels, ``quality`` ranks them."""
    transition: Tensor
    """T: (K, K), rows = true class."""
    corruption: Tensor
    """T_c: (K, K), rows = true class."""
    clean_rate: float
    """gamma."""
    division: Tensor | None = None
    """T to divide out of the predictions that this was found from, where these are of unseen rows: (K, K)."""

    def labelled(self, prob: Tensor) -> Tensor:
        """The given labels to expect by predictions of the true class, both (n, K): through ``division``."""
        return prob if self.division is None else prob.double() @ self.division


def close_cycles(state: FlywheelState, sample_weight: Tensor | None = None) -> Closing:
    """The end of a fit with one net on all rows (Eqs. 4, 11).

    Parameters
    ----------
    state : FlywheelState
        Its q and f_prob are those of the last nets.
    sample_weight : Tensor of shape (N,), optional
        Of the rows in both matrices.
    """
    s = state
    refurbished = em.refurbish(s.q, s.given, s.f_prob.double())
    refurbished /= refurbished.sum(1, keepdim=True)
    weights = torch.ones_like(s.q) if sample_weight is None else sample_weight
    T = em.transition_matrix(refurbished * weights[:, None], s.given)
    confidence, predicted = s.f_prob.max(1)
    return Closing(
        predicted=predicted,
        confidence=confidence,
        refurbished=refurbished,
        quality=(s.quality_sum / s.n_scored.clamp_min(1)).clamp(0, 1),
        posterior=label_posterior(s, refurbished, T),
        transition=T,
        corruption=em.corruption_matrix(s.q, s.f_prob * weights[:, None].to(s.f_prob.dtype), s.given),
        clean_rate=float(s.gamma),
    )


def label_posterior(state: FlywheelState, refurbished: Tensor, T: Tensor) -> Tensor:
    """Probability that each given label is the true class: (N,), float64.

    A mean of two: Eq. (11) at the given label, averaged over the later cycles, and Bayes' rule with f and T.

    Parameters
    ----------
    state : FlywheelState
        Of N rows.
    refurbished : Tensor of shape (N, K)
        Eq. (11) after the last cycle, which stands for its mean where no later cycle had the row.
    T : Tensor of shape (K, K)
        Rows = true class, columns = given class.
    """
    s = state
    late = s.n_late.clamp_min(1)
    last = refurbished.gather(1, s.given[:, None]).squeeze(1)
    over_cycles = torch.where(s.n_late > 0, em.mean_posterior(s.q_sum / late, s.f_given_sum / late), last)
    return torch.lerp(over_cycles, em.bayes_posterior(s.f_prob.double(), T, s.given), BAYES_SHARE)


def close_unseen(
    prob: Tensor,
    given: Tensor,
    corruption: Tensor,
    sample_weight: Tensor | None = None,
    of_refurbished: bool = False,
) -> Closing:
    """The end of a fit as out-of-fold predictions have it: labels judged by them, and by the T that suits them.

    Where nets were trained on refurbished labels, the ranking score is their prediction of the given label: T has had
    its say in these, and counted twice it would suspect rows for their class alone. Where nets were trained on the
    given labels, it is half way between that prediction and its posterior through T, in log odds.

    Parameters
    ----------
    prob : Tensor of shape (N, K)
        Out-of-fold prediction.
    given : Tensor of shape (N,), int64
        Given labels.
    corruption : Tensor of shape (K, K)
        T_c; handed on.
    sample_weight : Tensor of shape (N,), optional
        At least 0; of the rows in T and gamma.
    of_refurbished : bool
        Whether the nets were trained on refurbished labels.
    """
    (refurbished, T, _), division = posterior_and_division(prob, given, sample_weight, TEMPERATURES)
    posterior = refurbished.gather(1, given[:, None]).squeeze(1)
    quality = prob.double().gather(1, given[:, None]).squeeze(1)
    if not of_refurbished:
        quality = torch.sigmoid((log_odds(quality) + log_odds(posterior)) / 2)
    confidence, predicted = prob.max(1)
    clean_rate = float(em.main.weighted_average(posterior, sample_weight))
    return Closing(predicted, confidence, refurbished, quality, posterior, T, corruption, clean_rate, division)


def mixed(after: Closing, before: Closing, share: float, f_prob: Tensor) -> Closing:
    """A mixture of two ends: that of the cycles with weight ``share``, that of the warm-up with the rest.

    Ranking scores are mixed as log odds, and there the warm-up's always count with weight 1: no refurbished label has
    had a say in them.

    Parameters
    ----------
    after, before : Closing
        By the nets after the cycles, and after the warm-up.
    share : float in [0, 1]
        Weight of the cycles.
    f_prob : Tensor of shape (N, K)
        Prediction of f, mixed in the proportion that suits prediction.
    """
    odds = share * log_odds(after.quality) + log_odds(before.quality)
    confidence, predicted = f_prob.max(1)
    return Closing(
        predicted=predicted,
        confidence=confidence,
        refurbished=torch.lerp(before.refurbished, after.refurbished, share),
        quality=torch.sigmoid(odds / (1 + share)),
        posterior=torch.lerp(before.posterior, after.posterior, share),
        transition=torch.lerp(before.transition, after.transition, share),
        corruption=torch.lerp(before.corruption, after.corruption, share),
        clean_rate=share * after.clean_rate + (1 - share) * before.clean_rate,
    )


def ranked_with(quality: Tensor, said: Tensor, n_votes: int) -> Tensor:
    """A ranking score mixed, in log odds, with that of another judge: both (N,) in [0, 1], so is the mixture.

    The judge is a mean of votes, trees of a forest or neighbours: shares of 0 and 1 stand for half a vote.
    """
    said = said.to(quality).clamp(0.5 / n_votes, 1 - 0.5 / n_votes)
    return torch.sigmoid(torch.lerp(log_odds(quality), log_odds(said), SAY))


def log_odds(p: Tensor) -> Tensor:
    """``log(p / (1 - p))``, kept finite."""
    return torch.logit(p, eps=1e-9)
