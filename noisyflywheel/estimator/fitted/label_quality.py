"""The calibrated clean probability: the order of the ranking score on the level of a posterior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

RANK_SHARE = 1e-3
"""Share of the plain rank in `calibrated`: keeps rows apart that the isotonic map would tie."""


def calibrated(
    quality: NDArray[np.float64], posterior: NDArray[np.float64], sample_weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Clean probabilities in the order of a ranking score, with the mean of a posterior.

    By isotonic regression of ``posterior`` on ``quality``, which keeps the mean of the posterior and so the expected
    number of wrong labels, but for one in 2,000: a small share of the rank keeps rows apart that the regression ties.

    Parameters
    ----------
    quality : ndarray of shape (n,)
        Ranking score in [0, 1], higher = more likely right.
    posterior : ndarray of shape (n,)
        Probability in [0, 1] that the given label is right.
    sample_weight : ndarray of shape (n,), optional
        At least 0; rows of weight 0 have no say in the map.

    Returns
    -------
    ndarray of shape (n,), in [0, 1]
    """
    weight = np.ones(len(quality)) if sample_weight is None else sample_weight
    counts = weight > 0
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(quality[counts], posterior[counts], weight[counts])
    level = np.clip(isotonic.predict(quality), 0.0, 1.0)
    return np.asarray((1 - RANK_SHARE) * level + RANK_SHARE * rank_among(quality, quality[counts], weight[counts]))


def rank_among(
    quality: NDArray[np.float64], counted: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rank of each score (n,) among those that count (m,), as a share of their weight (m,): (n,), in (0, 1].

    With equal weights the mean rank of equal scores, divided by m.
    """
    values, place = np.unique(counted, return_inverse=True)
    mass = np.bincount(place, weight)
    return np.interp(quality, values, (np.cumsum(mass) - (mass - weight.min()) / 2) / weight.sum())
