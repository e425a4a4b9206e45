"""Instance-dependent noise: every row has its own flip rate and its own confusions (Xia et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisyflywheel.noise.codec import (
    Codes,
    check_dense,
    check_generator,
    check_indices,
    check_rate,
    codes_and_classes,
    finish,
)

Floats = NDArray[np.float64]
_BLOCK_BYTES = 64 * 2**20
LARGEST_STD = 10.0
"""Of flip rates: they are even over [0, 1] there already, and most draws of a wider normal would be thrown away."""


def instance_dependent(
    X: Any,
    y: Any,
    rate: float,
    *,
    variant: str = "part",
    rate_std: float = 0.1,
    labels: Sequence[Any] | None = None,
    random_state: Any = None,
    return_info: bool = False,
) -> Any:
    """Draw labels whose errors depend on the picture or row itself.

    Row i is mislabelled with probability q_i, drawn from a normal(rate, `rate_std`) truncated to [0, 1].  The
    wrong class is drawn from softmax(x_i W) over the classes that are not the true one, W Gaussian (D, K).

    Parameters
    ----------
    X : array-like of shape (n, ...)
        Features or images, flattened to (n, D).  Their scale decides how sharply a row
        prefers one wrong class.
    y : array-like of shape (n,)
        True labels of any kind.
    rate : float in [0, 1]
        Mean of the flip rates before truncation.
    variant : {"part", "cores"}, default="part"
        "part": one W per true class; uint8 pixels are taken as [0, 1].  "cores": one W for all classes, pixel
        values raw (CORES²).
    rate_std : float in [0, 10], default=0.1
        Standard deviation of the flip rates before truncation.
    labels, random_state, return_info
        As in `noisyflywheel.noise.symmetric`.

    Returns
    -------
    As `noisyflywheel.noise.symmetric`.

    Raises
    ------
    TypeError, ValueError
        For a bad rate, variant or `rate_std`, lengths or pandas indices that differ, features that are sparse or not
        finite, missing or unknown labels, or fewer than two classes.

    References
    ----------
    Xia et al., "Part-dependent label noise: towards instance-dependent label noise", NeurIPS 2020.
    Cheng et al., "Learning with instance-dependent label noise: a sample sieve approach", ICLR 2021.
    """
    rate = check_rate(rate)
    if variant not in ("part", "cores"):
        raise ValueError(f"variant must be 'part' or 'cores', got {variant!r}")
    codes, classes = codes_and_classes(y, labels)
    features = _flat(X, len(codes))
    check_indices(X, y, ("X", "y"))
    rng = check_generator(random_state)
    q = truncated_normal(rate, rate_std, len(codes), rng)
    noisy, T = _draw(features, codes, q, len(classes), variant, rng)
    return finish(y, codes, noisy, classes, T, return_info)


def truncated_normal(mean: float, std: float, n: int, rng: np.random.Generator) -> Floats:
    """Draw n numbers of a normal(mean, std) truncated to [0, 1], redrawing those outside; mean in [0, 1]."""
    if not 0 <= std <= LARGEST_STD:
        raise ValueError(f"rate_std must be in [0, {LARGEST_STD:g}], got {std!r}")
    q = rng.normal(mean, std, n)
    while (outside := np.flatnonzero((q < 0) | (q > 1))).size:
        q[outside] = rng.normal(mean, std, outside.size)
    return q


def flip_law(scores: Floats, true: int, q: Floats) -> Floats:
    """Return each row's law over given classes: 1 - q on the true class, q times a softmax over the others.

    Parameters
    ----------
    scores : ndarray of shape (n, K)
        x_i W; not changed.
    true : int
        The rows' true class.
    q : ndarray of shape (n,)
        Flip rates in [0, 1].

    Returns
    -------
    ndarray of shape (n, K), rows sum to 1
    """
    others = scores.copy()
    others[:, true] = -np.inf
    others = np.exp(others - others.max(axis=1, keepdims=True))
    law = q[:, None] * others / others.sum(axis=1, keepdims=True)
    law[:, true] = 1 - q
    return law


def _draw(
    X: NDArray[Any], codes: Codes, q: Floats, k: int, variant: str, rng: np.random.Generator
) -> tuple[Codes, Floats]:
    """Draw the noisy classes (n,) and the mean law per true class (K, K), class by class in row blocks."""
    u = rng.random(len(codes))
    d, noisy, T = X.shape[1], codes.copy(), np.eye(k)
    shared = rng.standard_normal((d, k)) if variant == "cores" else None
    scale = 1 / 255 if variant == "part" and X.dtype == np.uint8 else 1.0
    block = max(1, _BLOCK_BYTES // (8 * d))
    for j in range(k):
        W = rng.standard_normal((d, k)) if shared is None else shared
        rows = np.flatnonzero(codes == j)
        total = np.zeros(k)
        for part in np.split(rows, range(block, len(rows), block)):
            law = flip_law(X[part].astype(np.float64) @ (scale * W), j, q[part])
            edges = law.cumsum(axis=1)
            noisy[part] = (edges <= u[part, None] * edges[:, -1:]).sum(axis=1)
            total += law.sum(axis=0)
        if len(rows):
            T[j] = total / len(rows)
    return noisy, T


def _flat(X: Any, n: int) -> NDArray[Any]:
    """View X as (n, D); ValueError for another number of rows, no features, values masked, missing or not finite."""
    check_dense("X", X)
    array = _of_frame(X) if hasattr(X, "dtypes") and hasattr(X, "iloc") else np.asarray(X)
    if array.ndim < 2 or len(array) != n or array.size == 0:
        raise ValueError(f"X must have shape ({n}, ...), got {array.shape}")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"X must be numeric, got dtype {array.dtype}")
    if np.ma.is_masked(X):
        raise ValueError("X holds masked values")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("X holds NaN or infinity")
    return array.reshape(n, -1)


def _of_frame(X: Any) -> NDArray[Any]:
    """Cells (n, D) of a DataFrame or Series; nullable numbers, and numbers beside truth values, as numpy's numbers."""
    cells = np.asarray(X)
    kinds = [getattr(dtype, "numpy_dtype", dtype) for dtype in np.atleast_1d(X.dtypes)]
    if cells.dtype != object or not all(getattr(kind, "kind", "O") in "fiub" for kind in kinds):
        return cells
    if X.isna().to_numpy().any():
        raise ValueError("X holds missing values")
    return np.asarray(cells, dtype=np.result_type(*kinds))
