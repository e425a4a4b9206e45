"""Checkpoints of a fit: written while it runs, read when the same fit is asked for again."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from noisyflywheel.exceptions import CheckpointError, FlywheelWarning, RanksError
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks
from noisyflywheel.persistence import (
    fit_folder,
    fit_key,
    has_checkpoint,
    load_checkpoint,
    parameter_fingerprint,
    save_checkpoint,
)

KIND = "fit"

SHARE = 0.03
"""Largest share of a fit's time for checkpoints: where writing is slow they are written less often."""


class FitCheckpoints:
    """Where one fit leaves its checkpoints; without a folder nothing is written or found.

    Parameters
    ----------
    folder : Path or None
        The fit's own (see `noisyflywheel.persistence.fit_folder`).
    fingerprints : dict of str to str
        Of data and parameters.
    ranks : Ranks
        Processes that share the fit. Only the first of them has a folder; all go on from what it finds.
    """

    def __init__(
        self, folder: Path | None = None, fingerprints: dict[str, str] | None = None, ranks: Ranks = ALONE
    ) -> None:
        self.ranks = ranks
        self.folder, self.fingerprints = folder, fingerprints or {}
        self.written = False
        self.last_time, self.next_time = time.monotonic(), 0.0
        self.was_read = False
        self.found: dict[str, Any] | None = None

    @contextlib.contextmanager
    def trusting(self) -> Iterator[dict[str, Any] | None]:
        """The state that the last `save` of this fit left, or None; errors in its use inside are the file's fault.

        Raises
        ------
        CheckpointError
            If it is damaged, belongs to other data or parameters, or does not fit the nets.
        """
        if not self.was_read:
            self.found, self.was_read = self.ranks.of_first(self._read, "reading a checkpoint"), True
        try:
            yield self.found
        except RanksError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            if self.found is None:
                raise
            raise CheckpointError(str(self.folder), f"does not belong to this fit ({error})") from error

    def _read(self) -> dict[str, Any] | None:
        folder = self.folder
        if folder is None or not has_checkpoint(folder):
            return None
        try:
            loaded = load_checkpoint(folder)
        except CheckpointError as error:
            reason = f"{error.reason}. Remove the folder {folder} to start this fit anew"
            raise CheckpointError(error.path, reason) from error
        if loaded.get("kind") != KIND or "state" not in loaded:
            raise CheckpointError(folder, "holds no checkpoint of a fit")
        found = loaded.get("fingerprints")
        others = [kind for kind, value in self.fingerprints.items() if not found or found.get(kind) != value]
        if others:
            reason = f"belongs to a fit with other {' and '.join(others)}"
            raise CheckpointError(folder, f"{reason}: use another checkpoint_dir, or remove this folder")
        self.written = True
        return loaded["state"]

    def due(self, seconds: float = 0.0) -> bool:
        """Whether it is time to write again: cheap enough, and at least ``seconds`` after the last one."""
        now = time.monotonic()
        return self.folder is not None and now >= max(self.next_time, self.last_time + seconds)

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
        self.found = None  # its memory
        start = time.monotonic()
        try:
            save_checkpoint(self.folder, {"kind": KIND, "fingerprints": self.fingerprints, "state": state})
            self.written = True
        except CheckpointError as error:
            if not self.written:
                raise
            message = f"No checkpoint was written ({error}); the fit goes on, and the last one is still there."
            warnings.warn(message, FlywheelWarning, stacklevel=2)
        end = time.monotonic()
        self.last_time = end
        self.next_time = end + (end - start) / SHARE


@contextlib.contextmanager
def fit_checkpoints(
    params: Mapping[str, Any],
    fingerprint: Callable[[], str],
    seeds: list[int],
    n_cycles_before: int = 0,
    ranks: Ranks = ALONE,
) -> Iterator[FitCheckpoints]:
    """The checkpoints of a fit, locked against other processes until the end.

    Data and parameters decide the folder inside ``checkpoint_dir``, so fits that differ never meet.

    Parameters
    ----------
    params : mapping of str to object
        As `FlywheelClassifier` has them.
    fingerprint : callable
        Returns the digest of the data.
    seeds : list of int
        Drawn for the fit.
    n_cycles_before : int
        Cycles of the fit that ``warm_start`` continues; it has another folder.
    ranks : Ranks
        As in `FitCheckpoints`.

    Raises
    ------
    CheckpointError
        If ``checkpoint_dir`` cannot be written.
    """
    if params["checkpoint_dir"] is None or ranks.rank > 0:
        yield FitCheckpoints(ranks=ranks)
        return
    drawn = None if params["random_state"] is None else [*seeds, n_cycles_before]
    fingerprints = {"data": fingerprint(), "parameters": parameter_fingerprint(params, drawn)}
    key = fit_key(fingerprints["data"], f"{fingerprints['parameters']} {n_cycles_before}")
    with fit_folder(params["checkpoint_dir"], key) as folder:
        yield FitCheckpoints(folder, fingerprints, ranks)
