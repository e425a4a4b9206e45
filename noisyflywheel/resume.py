"""Checkpoints of a fit: written while it runs, read when the same fit is asked for again."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisyflywheel.checkpoint import (
    Flat,
    data_fingerprint,
    fit_folder,
    fit_key,
    flatten,
    has_checkpoint,
    load_checkpoint,
    parameter_fingerprint,
    save_checkpoint,
    unflatten,
)
from noisyflywheel.checkpoint.fingerprint import require_match
from noisyflywheel.exceptions import CheckpointError, FlywheelWarning

KIND = "fit"

SHARE = 0.03
"""Most of the time of a fit that goes into checkpoints: where writing is slow they are written less often."""


class FitCheckpoints:
    """Where one fit leaves its checkpoints; without a folder nothing is written or found.

    Parameters
    ----------
    folder : Path or None
        The fit's own (see `noisyflywheel.checkpoint.fit_folder`).
    fingerprints : dict of str to str
        Of data and parameters.
    """

    def __init__(self, folder: Path | None = None, fingerprints: dict[str, str] | None = None) -> None:
        self.folder, self.fingerprints = folder, fingerprints or {}
        self.written = False
        self.next_time = 0.0

    def load(self) -> dict[str, Any] | None:
        """The state that the last `save` of this fit left, or None.

        Raises
        ------
        CheckpointError
            If it is damaged, or belongs to other data or parameters.
        """
        if self.folder is None or not has_checkpoint(self.folder):
            return None
        try:
            loaded = load_checkpoint(self.folder)
        except CheckpointError as error:
            reason = f"{error.reason}. Remove the folder {self.folder} to start this fit anew"
            raise CheckpointError(error.path, reason) from error
        if loaded.meta.get("kind") != KIND:
            raise CheckpointError(self.folder, "holds no checkpoint of a fit")
        require_match(loaded.meta.get("fingerprints"), self.fingerprints, self.folder)
        self.written = True
        return unflatten(Flat(loaded.tensors, loaded.arrays, loaded.meta.get("state")), str(self.folder))

    def due(self) -> bool:
        """Whether it is time to write again."""
        return self.folder is not None and time.monotonic() >= self.next_time

    def save(self, state: dict[str, Any]) -> None:
        """Write ``state``, nested plain values and tensors; the one before goes when it is whole.

        Raises
        ------
        CheckpointError
            If the very first one cannot be written.

        Warns
        -----
        FlywheelWarning
            If a later one cannot: the fit goes on, the last whole one stays.
        """
        if self.folder is None:
            return
        start = time.monotonic()
        flat = flatten(state)
        meta = {"kind": KIND, "fingerprints": self.fingerprints, "state": flat.tree}
        try:
            save_checkpoint(self.folder, flat.tensors, flat.arrays, meta)
            self.written = True
        except CheckpointError as error:
            if not self.written:
                raise
            message = f"No checkpoint was written ({error}); the fit goes on, and the last one is still there."
            warnings.warn(message, FlywheelWarning, stacklevel=2)
        end = time.monotonic()
        self.next_time = end + (end - start) / SHARE


@contextlib.contextmanager
def fit_checkpoints(
    estimator: Any, rows: Any, codes: NDArray[np.int64], classes: NDArray[Any], seeds: list[int]
) -> Iterator[FitCheckpoints]:
    """The checkpoints of a fit of ``estimator``, locked against other processes until the end.

    Data and parameters decide the folder inside ``checkpoint_dir``, so fits that differ never meet. A fit that
    ``warm_start`` continues has a folder of its own.

    Raises
    ------
    CheckpointError
        If ``checkpoint_dir`` cannot be written.
    """
    if estimator.checkpoint_dir is None:
        yield FitCheckpoints()
        return
    kept = getattr(estimator, "_kept", None) if estimator.warm_start else None
    done = 0 if kept is None else len(kept["history"])
    drawn = None if estimator.random_state is None else [*seeds, done]
    fingerprints = {
        "data": data_fingerprint(rows, codes, classes),
        "parameters": parameter_fingerprint(estimator.get_params(deep=False), drawn),
    }
    key = fit_key(fingerprints["data"], f"{fingerprints['parameters']} {done}")
    with fit_folder(estimator.checkpoint_dir, key) as folder:
        yield FitCheckpoints(folder, fingerprints)
