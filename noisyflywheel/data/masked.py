"""numpy's masked arrays, of which numpy and scikit-learn read what lies below the mask."""

from __future__ import annotations

from typing import Any

import numpy as np


def without_mask(values: Any) -> Any:
    """A masked array with NaN where it is masked, None among anything but numbers; anything else as it is.

    Where nothing is masked the data keep their type, and are not copied.
    """
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if not np.ma.is_masked(values):
        return values.data
    is_number = values.dtype.kind in "biufc"
    plain = values.data.astype(np.result_type(values.dtype, np.float16) if is_number else object)  # a copy
    plain[np.ma.getmaskarray(values)] = np.nan if is_number else None
    return plain
