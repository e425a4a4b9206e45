"""The surest rows that are most like a suspect: what speaks for its suggestion."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.metrics import pairwise_distances_chunked
from sklearn.preprocessing import StandardScaler

from noisyflywheel.audit.rows.truth import suspect_mask
from noisyflywheel.data.pictures import rows_of

N_NEAREST = 3
N_ASKED = 10
SIDE = 32
MAX_SURE = 500
"""Sure rows of one class that are compared."""


@dataclass(frozen=True)
class Nearest:
    """What lies around some rows.

    Attributes
    ----------
    rows : dict of int to list of int
        Positions of the nearest sure rows of the suggested class, at most three, the nearest first.
    votes : dict of int to dict of label to int
        Labels of the ten nearest sure rows of all classes, the most frequent first.
    """

    rows: dict[int, list[int]] = field(default_factory=dict)
    votes: dict[int, dict[Any, int]] = field(default_factory=dict)


def suggestions(issues: pd.DataFrame) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Suggested label of each row (n,), None where there is no other one, and its confidence in [0, 1] or NaN.

    It is the refurbished label where that differs from the given one, else the predicted one where that differs: its
    confidence is then what the given label, the likeliest, leaves to it, at most.
    """
    given, better, seen = (issues[f"{kind}_label"].to_numpy(object) for kind in ("given", "refurbished", "predicted"))
    changed, perhaps = better != given, seen != given
    label = np.where(changed, better, seen)
    label[~changed & ~perhaps] = None
    sure = issues["refurbished_confidence"].to_numpy(np.float64)
    return label, np.where(changed, sure, np.where(perhaps, 1 - sure, np.nan))


def sure_rows(issues: pd.DataFrame, most: int = MAX_SURE) -> NDArray[np.intp]:
    """Positions of rows whose label all agree on, of each class the upper half by quality, at most `most`."""
    given = issues["given_label"].to_numpy(object)
    agreed = ~suspect_mask(issues)
    for name in ("refurbished_label", "predicted_label"):
        agreed &= issues[name].to_numpy(object) == given
    places = np.flatnonzero(agreed)
    places = places[np.argsort(-issues["label_quality"].to_numpy()[places], kind="stable")]
    by_class = pd.Series(places).groupby(given[places], sort=False)
    rank, size = by_class.cumcount().to_numpy(), by_class.transform("size").to_numpy()
    return np.sort(places[rank < np.minimum(most, (size + 1) // 2)])


def flat_features(features: Any, rows: NDArray[np.intp]) -> NDArray[np.float32] | None:
    """Some rows of features as scaled vectors (m, d); None where they are no numbers, or sparse.

    Pictures keep their common scale, and of large ones at most `SIDE` pixels along each axis are taken.
    """
    if not hasattr(features, "shape") or len(features.shape) < 2 or issparse(features):
        return None
    taken = rows_of(features, rows)
    if taken.dtype.kind not in "biuf":
        return None
    if taken.ndim > 2:
        steps = tuple(slice(None, None, -(-size // SIDE)) for size in taken.shape[1:])
        return taken[(slice(None), *steps)].reshape(len(taken), -1).astype(np.float32)
    return StandardScaler().fit_transform(np.nan_to_num(taken.astype(np.float32)))


def nearest_sure(issues: pd.DataFrame, features: Any, rows: list[int]) -> Nearest:
    """Look around some rows.

    Parameters
    ----------
    issues : DataFrame of n rows
    features : array-like of n rows, or None
        Numbers (n, d), scaled here, or pictures; with anything else nothing is found.
    rows : list of int
        Positions.

    Returns
    -------
    nearest : Nearest
    """
    pool = sure_rows(issues)
    flat = flat_features(features, np.concatenate([np.asarray(rows, dtype=np.intp), pool]))
    if flat is None or not len(pool) or not rows:
        return Nearest()
    given = issues["given_label"].to_numpy(object)
    codes, names = pd.factorize(given[pool])
    wanted = pd.Index(names).get_indexer(suggestions(issues)[0][rows])
    near: list[NDArray[np.intp]] = []
    votes: list[NDArray[np.intp]] = []
    for distances in pairwise_distances_chunked(flat[: len(rows)], flat[len(rows) :], working_memory=64):
        of_class = np.where(codes == wanted[len(near) : len(near) + len(distances), None], distances, np.inf)
        near.extend(_first(of_class, N_NEAREST))
        votes.extend(codes[_first(distances, N_ASKED)])
    counted = [Counter(line.tolist()).most_common() for line in votes]
    n_of_class = np.append(np.bincount(codes, minlength=len(names)), 0)  # the last one of no class, -1
    return Nearest(
        {row: pool[line[: n_of_class[k]]].tolist() for row, line, k in zip(rows, near, wanted, strict=True)},
        {row: {names[k]: n for k, n in line} for row, line in zip(rows, counted, strict=True)},
    )


def _first(distances: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Columns of the n smallest values of each row, the smallest first."""
    n = min(n, distances.shape[1])
    some = np.argpartition(distances, n - 1, axis=1)[:, :n]
    order = np.take_along_axis(distances, some, axis=1).argsort(axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)
