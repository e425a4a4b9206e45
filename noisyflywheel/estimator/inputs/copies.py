"""Copies: rows that are in a set more than once, with their label.

A model that has learnt one copy knows the label of another that is held out: no wrong label of theirs would be found.
So a fit takes copies for one row that counts as much as they do, and a cross-validation holds them out together. Equal
rows are not always copies: columns of few values describe different objects alike, and each of their labels tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANCE = 10.0
"""Equal rows are copies where there are so many pairs of them or more, and so many for each that chance makes, columns
drawn one by one."""

UNANIMOUS = 0.9
"""Least share of the groups of equal rows that have one label, where they are copies: several labels say that people
looked at each."""

MOST = 10
"""Largest group of equal rows that are copies: an object that is there more often is a kind of objects."""

LEAST_OF_A_CLASS = 10
"""Different rows of a class, or more, where it may have copies: a class of few patterns is told by their number."""

MOST_NUMBERS, NUMBERS_A_BLOCK = 500_000_000, 2_000_000
"""Sets with more numbers, n times d, are not looked through; of others so many are looked at at once."""

MOST_COLUMNS, PAIRS = 200, 500
"""Of wider rows so many columns are asked for chance, those that so many pairs of rows most often differ in."""


def find_copies(x: NDArray[np.number], codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The first row that each row is a copy of, itself where there is none before it: (n,); None without copies.

    Copies are equal in all features and in the label. Equal rows of several labels stay rows of their own.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Numbers; NaN is NaN.
    codes : ndarray of shape (n,), int64
        Labels.
    """
    if x.size > MOST_NUMBERS:
        return None
    first, itself = _first_of(_hashes(x)), np.arange(len(x))
    for rows in _blocks(np.flatnonzero(first != itself), x.shape[1]):
        different = rows[(_bits(x[rows]) != _bits(x[first[rows]])).any(1)]
        first[different] = different  # of equal hashes
    _, group, sizes = np.unique(first, return_inverse=True, return_counts=True)
    one_label = np.ones(len(sizes), dtype=bool)
    one_label[group[codes != codes[first]]] = False
    several = sizes > 1
    if not several.any() or one_label[several].mean() < UNANIMOUS:
        return None
    n_different = np.bincount(codes[first == itself], minlength=codes.max() + 1)
    are_copies = (one_label & (sizes <= MOST))[group] & (n_different >= LEAST_OF_A_CLASS)[codes]
    found = np.where(are_copies, first, itself)
    return None if _by_chance(x, np.bincount(found)) else found


def _first_of(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The first place at which each of n keys stands: (n,)."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return np.asarray(first[inverse])


def _hashes(x: NDArray[np.number]) -> NDArray[np.uint64]:
    """A hash of each of the rows x (n, d): equal where they are, and hardly ever elsewhere."""
    factors = np.random.default_rng(0).integers(2**64, size=x.shape[1], dtype=np.uint64) | np.uint64(1)
    return np.concatenate([(_bits(part) * factors).sum(1, dtype=np.uint64) for part in _blocks(x, x.shape[1])])


def _blocks(rows: NDArray[Any], width: int) -> Iterator[NDArray[Any]]:
    """Rows, or their numbers, so many at once that ``width`` numbers of each are `NUMBERS_A_BLOCK`."""
    size = max(1, NUMBERS_A_BLOCK // width)
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _bits(x: NDArray[np.number]) -> NDArray[np.uint64]:
    """Numbers as whole ones, equal where they are: -0 is 0, and NaN is NaN."""
    if x.dtype.kind != "f":
        return x.astype(np.uint64)
    plain = np.where(np.isnan(x), np.array(np.nan, x.dtype), x + np.zeros((), x.dtype))
    return plain.view(f"u{x.itemsize}").astype(np.uint64)


def _by_chance(x: NDArray[np.number], sizes: NDArray[np.int64]) -> bool:
    """Whether groups of equal rows of these ``sizes`` are what columns of few values make.

    How often a column has one value in two rows is taken from rows that differ elsewhere.
    """
    pairs, all_pairs = _n_pairs(sizes), _n_pairs(np.array([len(x)]))
    if pairs < CHANCE:
        return True
    expected = all_pairs
    for column in _telling_columns(x):
        alike = _n_pairs(np.unique(x[:, column], return_counts=True)[1])
        expected *= (alike - pairs) / max(all_pairs - pairs, 1.0)
        if CHANCE * expected <= pairs:
            return False
    return True


def _telling_columns(x: NDArray[np.number]) -> NDArray[np.int64]:
    """Columns of x (n, d), at most `MOST_COLUMNS`, first those in which rows differ most often."""
    if x.shape[1] <= MOST_COLUMNS:
        return np.arange(x.shape[1])
    one, other = np.random.default_rng(0).integers(len(x), size=(2, PAIRS))
    return np.argsort((x[one] == x[other]).mean(0), kind="stable")[:MOST_COLUMNS]


def _n_pairs(sizes: NDArray[np.int64]) -> float:
    """Pairs of rows within groups of these sizes."""
    return float((sizes.astype(np.float64) * (sizes - 1)).sum()) / 2
