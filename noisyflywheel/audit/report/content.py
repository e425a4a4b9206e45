"""What a report shows of a row: a picture, a text, or its values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.utils import _safe_indexing

from noisyflywheel.audit.report.pictures import data_uri
from noisyflywheel.audit.rows.identity import row_hashes
from noisyflywheel.data import as_row, map_items, on_host
from noisyflywheel.data.pictures import as_pictures, is_paths, lists_pictures, rows_of
from noisyflywheel.data.reading import check_items
from noisyflywheel.estimator.inputs.containers import is_dataset

MAX_TEXT = 280
MAX_VALUES = 8


@dataclass(frozen=True)
class Content:
    """One row's content; the fields that do not apply are empty."""

    image: str = ""
    text: str = ""
    values: tuple[tuple[str, str], ...] = ()


def shorten(text: Any, most: int = MAX_TEXT) -> str:
    """Text in one paragraph of at most `most` characters."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def plain_value(value: Any) -> str:
    """A cell for people: four significant digits, empty for missing."""
    number = isinstance(value, float | np.floating)
    if value is None or value is pd.NaT or value is pd.NA or (number and np.isnan(value)):
        return "–"
    return f"{value:.4g}" if number else shorten(value, 60)


def show_rows(
    X: Any,
    rows: Sequence[int],
    *,
    texts: ArrayLike | None = None,
    image_shape: tuple[int, ...] | None = None,
    size: int = 96,
) -> dict[int, Content]:
    """Content of the chosen rows by position.

    Parameters
    ----------
    X : array-like of n rows, sparse matrix, DataFrame, list of image files, Dataset, or None
        Pictures where it holds pictures or `image_shape` is given, else its first values.
    rows : sequence of int
        Positions.
    texts : array-like of shape (n,), optional
        Shown instead of X.
    image_shape : tuple, optional
        Shape of one row of X when it holds flattened pictures.
    size : int, default 96
        Longer side of a thumbnail in pixels.
    """
    chosen = [int(row) for row in rows]
    if texts is not None:
        column = pd.Series(np.asarray(texts, dtype=object))
        gone = column.isna()
        return {row: Content(text="" if gone.iloc[row] else shorten(column.iloc[row])) for row in chosen}
    if X is None or not chosen:
        return {row: Content() for row in chosen}
    X, places = _taken(X, chosen)
    if image_shape is not None or is_paths(X) or getattr(X, "ndim", 2) >= 3:
        pictures = as_pictures(X, places, image_shape)
        return {row: Content(image=data_uri(p, size)) for row, p in zip(chosen, pictures, strict=True)}
    return {row: Content(values=values) for row, values in zip(chosen, _values(X, places), strict=True)}


def _taken(X: Any, rows: list[int]) -> tuple[Any, list[int]]:
    """X and positions in it; of a Dataset, or a list of pictures, these items only, and a sparse X as a dense array."""
    if is_dataset(X):
        items = map_items(as_row, X, rows)
        check_items(items, rows)
        return on_host(torch.stack(items)), list(range(len(rows)))
    if lists_pictures(X):
        return rows_of(X, rows), list(range(len(rows)))
    return (_safe_indexing(X.tocsr(), rows).toarray(), list(range(len(rows)))) if issparse(X) else (X, rows)


def _values(X: Any, rows: Sequence[int]) -> list[tuple[tuple[str, str], ...]]:
    """Names and values of the first columns of some rows."""
    columns: list[Any]
    if isinstance(X, pd.DataFrame):
        columns = [X.iloc[list(rows), i] for i in range(min(MAX_VALUES, X.shape[1]))]
        names = [str(name) for name in X.columns[:MAX_VALUES]]
    else:
        cells = [np.ravel(X[row])[:MAX_VALUES] for row in rows]
        columns = list(zip(*cells, strict=True))
        names = [f"x{i}" for i in range(len(columns))]
    plain = [[plain_value(value) for value in column] for column in columns]
    return [tuple(zip(names, line, strict=True)) for line in zip(*plain, strict=True)] or [()] * len(rows)


def fingerprint(*parts: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of arrays, tables or lists: types, shapes and values.

    Of a Dataset only its length counts.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pd.DataFrame | pd.Series):
            digest.update(row_hashes(part).tobytes())
            continue
        if issparse(part):
            rows = part.tocsr(copy=True)
            rows.sum_duplicates()
            digest.update(fingerprint(rows.data, rows.indices, rows.indptr).encode() + str(rows.shape).encode())
            continue
        if is_dataset(part):
            digest.update(f"Dataset{len(part)}".encode())
            continue
        array = np.asarray(on_host(part))
        if array.dtype == object or array.dtype.kind in "US":
            digest.update("\0".join(map(str, array.ravel())).encode())
        else:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
