"""Whether pictures come on the scale that they had in fit: floats may be in [0, 1] or [0, 255], and do not say so."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from noisyflywheel.exceptions import FlywheelWarning

FACTOR = 50.0
"""Pixels that are spread so many times wider than those of the fit, or narrower, are taken for those of another scale:
[0, 255] is 255 times as wide as [0, 1]."""

MOST_PICTURES = 100
"""Most pictures that are looked at."""


def check_scale(estimator: Any, pictures: Tensor, reset: bool) -> None:
    """Warn where float pictures (n, ...) to predict have another scale than those in fit.

    Warns
    -----
    FlywheelWarning
        It has both ranges.
    """
    views = getattr(estimator, "views_", None)  # in the middle of a first fit there are none
    fitted = None if reset else getattr(views, "pixel_range", None)  # files of earlier versions have none
    if fitted is None or pictures.ndim < 3 or not pictures.is_floating_point():
        return
    some = pictures[:: -(-len(pictures) // MOST_PICTURES)]
    (low, high), (least, most) = fitted, (float(some.amin()), float(some.amax()))
    width, found = high - low, max(abs(least - low), abs(most - low))
    if width > 0 and (found > FACTOR * width or 0 < FACTOR * found < width):
        warnings.warn(
            f"X has pixels from {least:.3g} to {most:.3g}, but fit saw ones from {low:.3g} to {high:.3g}: if the "
            f"scales differ, predictions mean nothing. Give X as in fit.",
            FlywheelWarning,
            stacklevel=2,
        )
