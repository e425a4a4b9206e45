"""From the loop's scores to a verdict on each label: ranking score and calibrated clean probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

BLEND = 0.02
"""Share of the ranking score itself in `calibrated`: keeps rows apart that the isotonic map would tie."""


def calibrated(quality: NDArray[np.float64], posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rising map of a ranking score onto the posterior: its order, the posterior's level.

    Isotonic regression of ``posterior`` on ``quality`` keeps the order of the one and the mean of the other,
    so the expected number of wrong labels is unchanged. A small share of the ranking score, shifted to mean
    zero, keeps tied rows in order.

    Parameters
    ----------
    quality : ndarray of shape (n,)
        Ranking score in [0, 1], higher = more likely right.
    posterior : ndarray of shape (n,)
        ``q_i(y~_i)`` in [0, 1], Eq. (11).

    Returns
    -------
    ndarray of shape (n,), in [0, 1]
    """
    level = IsotonicRegression(out_of_bounds="clip").fit_transform(quality, posterior)
    level = np.clip(level, 0.0, 1.0)
    blended = (1 - BLEND) * level + BLEND * quality
    return np.clip(blended + level.mean() - blended.mean(), 0.0, 1.0)
