"""What the last E-step says of rows, labels and classes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.em.sharpness import posterior_and_division
from noisyflywheel.loop.state import FlywheelState

BAYES_SHARE = 0.3
"""Share of `em.bayes_posterior` in the clean probability, the rest is Eq. (11) averaged over cycles: Eq. (11) alone
counts a tenth too many errors among 77 classes, T alone too few of those that humans make."""


class Closing(NamedTuple):
    """The end of a fit."""

    predicted: Tensor
    """f's most likely class: (N,), int64."""
    confidence: Tensor
    """f's probability of that class: (N,)."""
    refurbished: Tensor
    """Distribution of the true label, given the label: (N, K), rows sum to 1."""
    quality: Tensor
    """Ranking score of the given labels in [0, 1], higher = more likely right: (N,)."""
    posterior: Tensor
    """Probability that the given label is the true class, on the right level: (N,)."""
    transition: Tensor
    """T: (K, K), rows = true class."""
    corruption: Tensor
    """T_c: (K, K), rows = true class."""
    clean_rate: float
    """gamma."""
    division: Tensor | None = None
    """T to divide out of the predictions that this was found from, where these are of unseen rows: (K, K)."""


def close_cycles(state: FlywheelState, sample_weight: Tensor | None = None) -> Closing:
    """The closing E-step (Eqs. 4, 11), from a state whose q and f_prob are those of the last nets.

    The level of the clean probability is that of Eq. (11) at the given label over the later cycles, and of Bayes' rule
    with f and T. ``sample_weight`` (N,) weighs the rows in both matrices.
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
        posterior=clean_posterior(s, refurbished, T),
        transition=T,
        corruption=em.corruption_matrix(s.q, s.f_prob * weights[:, None].to(s.f_prob.dtype), s.given),
        clean_rate=float(s.gamma),
    )


def clean_posterior(state: FlywheelState, refurbished: Tensor, T: Tensor) -> Tensor:
    """Probability that each given label is the true class, from Eq. (11) over the later cycles and from f and T: (N,).

    ``refurbished`` (N, K) is Eq. (11) of now, for rows that none of the later cycles saw; ``T`` has shape (K, K).
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
    """Labels as predictions of unseen rows judge them, with the T that these predictions speak for.

    The ranking score is the probability of the given label where nets were trained on refurbished labels: T has had its
    say there, and counted twice it suspects rows for their class. Where they were trained on the given labels, it is
    half way between that probability and the posterior through T, in log odds.

    Parameters
    ----------
    prob : Tensor of shape (N, K)
        Out-of-fold prediction.
    given : Tensor of shape (N,), int64
    corruption : Tensor of shape (K, K)
        T_c; handed on.
    sample_weight : Tensor of shape (N,), optional
    of_refurbished : bool
        Whether the nets were trained on refurbished labels.
    """
    (refurbished, T, _), division = posterior_and_division(prob, given, sample_weight)
    posterior = refurbished.gather(1, given[:, None]).squeeze(1)
    quality = prob.double().gather(1, given[:, None]).squeeze(1)
    if not of_refurbished:
        quality = torch.sigmoid((log_odds(quality) + log_odds(posterior)) / 2)
    confidence, predicted = prob.max(1)
    clean_rate = float(em.main.weighted_average(posterior, sample_weight))
    return Closing(predicted, confidence, refurbished, quality, posterior, T, corruption, clean_rate, division)


def mixed(after: Closing, before: Closing, share: float, f_prob: Tensor) -> Closing:
    """What the cycles found with weight ``share`` in [0, 1], what the warm-up found with the rest.

    ``f_prob`` (N, K) is the prediction that was chosen.

    The ranking scores are mixed as log odds, of which those from before the cycles always count whole: they have not
    been changed by any guess.
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


def log_odds(p: Tensor) -> Tensor:
    """``log(p / (1 - p))``, kept finite."""
    return torch.logit(p, eps=1e-9)
