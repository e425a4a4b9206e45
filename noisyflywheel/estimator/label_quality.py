"""The calibrated clean probability: the order of the ranking score on the level of a posterior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression

RANK_SHARE = 1e-3
"""Share of the plain rank in `calibrated`: keeps rows apart that the isotonic map would tie."""


def calibrated(quality: NDArray[np.float64], posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rising map of a ranking score onto a posterior: the order of the one, the level of the other.

    Isotonic regression of ``posterior`` on ``quality`` keeps the mean of the posterior, so the expected number of
    wrong labels is unchanged.

    Parameters
    ----------
    quality : ndarray of shape (n,)
        Ranking score in [0, 1], higher = more likely right.
    posterior : ndarray of shape (n,)
        Probability in [0, 1] that the given label is right.

    Returns
    -------
    ndarray of shape (n,), in [0, 1]
    """
    level = np.clip(IsotonicRegression(out_of_bounds="clip").fit_transform(quality, posterior), 0.0, 1.0)
    rank = rankdata(quality) / len(quality)
    return np.asarray((1 - RANK_SHARE) * level + RANK_SHARE * rank)
