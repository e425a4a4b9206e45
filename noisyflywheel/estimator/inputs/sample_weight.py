"""Which rows a fit trains on, in which order, and with what weight."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import _check_sample_weight
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data import ArraySource, DatasetSource, on_host, without_mask
from noisyflywheel.data.reading import SomeRows
from noisyflywheel.estimator.inputs.copies import find_copies

CPU = torch.device("cpu")

TINY = float(np.finfo(np.float32).tiny)
"""Share of the largest weight below which the nets, in float32, would train on a row with weight 0."""

SMALL = 100
"""Largest set, repetitions counted, whose rows are sorted and whose whole weights become repetitions: its result does
not depend on the order of the rows, nor on whether repetitions are written as weights, to the last bit. These are rows
as nets see them: X is encoded, filled, centred or projected without a look at weights."""


class WeightedRows(NamedTuple):
    """The m rows that the loop works on: the caller's without copies, in small sets repeated and sorted."""

    rows: Tensor | Dataset
    """(m, ...)."""
    codes: NDArray[np.int64]
    """Given labels of ``rows``, 0..K-1: (m,)."""
    weights: NDArray[np.float64] | None
    """(m,), of mean 1 over those that take part, 0 for the others; None where all are equal."""
    position: NDArray[np.int64] | None
    """Where each row of the caller is among ``rows``: (n,); None where the order is the caller's."""


def check_sample_weight(sample_weight: Any, codes: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Sample weights as (n,) float64, those below `TINY` of the largest 0; None where they change nothing.

    That is where they are all the same, unless each row counts as several then (`SMALL`).

    Raises
    ------
    ValueError
        For a wrong length, NaN, infinity or a negative weight, and where fewer than 2 rows or classes have any.
    """
    if sample_weight is None:
        return None
    weights = without_mask(on_host(sample_weight))
    weights = _check_sample_weight(weights, codes, dtype=np.float64, ensure_non_negative=True)
    assert_all_finite(weights, input_name="sample_weight")  # one number for all rows is not looked at above
    weights = np.where(weights < TINY * weights.max(), 0, weights)
    if len(np.unique(codes[weights > 0])) < 2:
        raise ValueError("sample_weight leaves rows of fewer than 2 classes with a weight above 0.")
    alike = (weights == weights[0]).all() and (weights[0] == 1 or not _are_repetitions(weights))
    return None if alike else np.asarray(weights)


def weighted_rows(
    rows: Tensor | Dataset, codes: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> WeightedRows:
    """The rows as the loop takes them: those of small sets repeated and sorted, of all each copy once.

    Copies in memory (`find_copies`) are one row that counts as much as they do together. Rows of weight 0 stay among
    the rows but take no part in training: nets that never saw them judge their labels.

    Parameters
    ----------
    rows : Tensor of shape (n, ...) or Dataset
    codes : ndarray of shape (n,), int64
        Labels.
    weights : ndarray of shape (n,) or None
        From `check_sample_weight`.
    """
    counts = np.ones(len(codes)) if weights is None else weights
    if _are_repetitions(counts):
        return _repeated(rows, codes, counts.astype(np.int64))
    if (found := _without_copies(rows, codes, counts)) is not None:
        return found
    if weights is None:
        return WeightedRows(rows, codes, None, None)
    return WeightedRows(rows, codes, of_mean_one(weights), None)


def _are_repetitions(weights: NDArray[np.float64]) -> bool:
    """Whether weights (n,) are whole numbers of rows, at most `SMALL` together."""
    few = bool(weights.max() <= SMALL) and weights.sum() <= SMALL
    return bool(few and (weights == weights.astype(np.int64)).all())


def of_mean_one(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (n,), scaled so that those above 0 have mean 1, however large or small they are."""
    scaled = np.ldexp(weights, -np.frexp(weights.max())[1])  # by a power of 2, which is exact; their sum is finite
    return scaled / scaled[scaled > 0].mean()


def _repeated(rows: Tensor | Dataset, codes: NDArray[np.int64], counts: NDArray[np.int64]) -> WeightedRows:
    """Each row ``counts`` times, sorted by features and label; then those whose count is 0, once, with weight 0."""
    source = ArraySource(rows, CPU) if isinstance(rows, Tensor) else DatasetSource(rows, CPU)
    own = np.flatnonzero(counts)
    flat = source.take(torch.from_numpy(own)).flatten(1).numpy()
    order = own[np.lexsort((codes[own], *flat.T[::-1]))]
    index = np.concatenate([np.repeat(order, counts[order]), np.flatnonzero(counts == 0)])
    position = np.empty(len(codes), dtype=np.int64)
    position[index[::-1]] = np.arange(len(index))[::-1]  # the first copy of each row
    weights = (np.arange(len(index)) < counts.sum()).astype(np.float64)
    every = WeightedRows(_some_of(rows, index), codes[index], None if counts.all() else weights, position)
    found = _without_copies(every.rows, every.codes, weights)
    if found is None or found.position is None:
        return every
    return found._replace(position=found.position[position])


def _without_copies(
    rows: Tensor | Dataset, codes: NDArray[np.int64], counts: NDArray[np.float64]
) -> WeightedRows | None:
    """Of copies among the rows that count the first one, which counts as much as they do together; None without any."""
    if not isinstance(rows, Tensor):
        return None
    own, first = np.flatnonzero(counts), np.arange(len(codes))
    counting = rows if len(own) == len(rows) else rows[torch.from_numpy(own)]
    found = find_copies(counting.flatten(1).numpy(), codes[own])
    if found is None:
        return None
    first[own] = own[found]
    kept, position = np.unique(first, return_inverse=True)
    weights = np.bincount(position, counts).astype(np.float64)
    alike = bool((weights == weights[0]).all())
    return WeightedRows(_some_of(rows, kept), codes[kept], None if alike else of_mean_one(weights), position)


def _some_of(rows: Tensor | Dataset, index: NDArray[np.int64]) -> Tensor | Dataset:
    """Rows by number, also repeated ones."""
    if isinstance(rows, Tensor):
        return rows[torch.from_numpy(index)]
    return SomeRows(rows, index.tolist())
