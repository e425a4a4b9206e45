"""What a checkpoint belongs to: a hash of the data and one of the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data import as_row, map_items
from noisyflywheel.data.lazy import LazyRows
from noisyflywheel.persistence.contents import describe_tensor, described

N_ITEMS = 256
"""Items of a Dataset that are hashed."""

UNRELATED = ("verbose", "checkpoint_dir", "on_cycle", "device", "random_state", "distributed")
"""Parameters that change no result, or (random_state) that the seeds stand for."""


def data_fingerprint(rows: Tensor | Dataset, labels: NDArray[Any], classes: NDArray[Any]) -> str:
    """Hash of the training data, rows (n, ...), codes of the labels (n,) and classes (K,): 32 hexadecimal digits.

    Of a tensor every byte counts, its shape and dtype, and so of arrays and tables on disk; of another Dataset its
    length and 256 evenly spaced items.
    """
    if isinstance(rows, Tensor):
        described = describe_tensor(rows)
    else:
        described = _describe_blocks(rows) if isinstance(rows, LazyRows) else _describe_items(rows)
    classes = np.asarray(classes)
    return joblib.hash([described, np.ascontiguousarray(labels), classes.dtype.kind, repr(classes.tolist())])


def parameter_fingerprint(params: Mapping[str, Any], seeds: Iterable[int] | None = None) -> str:
    """Hash of what decides a fit beside the data, parameters and seeds drawn for them: 32 hexadecimal digits.

    Nets, views and other objects go in with all that they hold; classes and functions by their code, those of
    installed packages by name. ``seeds`` is None where ``random_state`` is.
    """
    kept = {name: value for name, value in params.items() if name not in UNRELATED}
    return joblib.hash(described([kept, None if seeds is None else [int(seed) for seed in seeds]]))


def state_fingerprint(state: Any) -> str:
    """Hash of nested plain values and tensors, wherever these lie: 32 hexadecimal digits."""
    return joblib.hash(described(state))


def fit_key(data: str, parameters: str) -> str:
    """Both fingerprints as one: names the folder of a fit."""
    return joblib.hash([data, parameters])


def _describe_blocks(rows: LazyRows) -> list[Any]:
    """Shape and dtype of rows on disk, and hashes of their blocks."""
    hashes = [joblib.hash(np.ascontiguousarray(block)) for block in rows.blocks()]
    return [rows.array.shape, str(rows.array.dtype), hashes]


def _describe_items(dataset: Any) -> list[Any]:
    """Length and evenly spaced items of a Dataset, without their labels."""
    n = len(dataset)
    spaced = sorted({round(i) for i in np.linspace(0, n - 1, min(n, N_ITEMS))})
    return [n, *map_items(lambda item: describe_tensor(as_row(item)), dataset, spaced)]
