"""Workers that read rows beside the training: torch's DataLoader, set as skorch's nets set it."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import shutil
from collections.abc import Iterator
from typing import Any

import joblib
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from noisyflywheel.data.reading import IDLE, RowReader, Unread, file_of
from noisyflywheel.exceptions import RowReadError

OPTIONS = (
    "num_workers",
    "prefetch_factor",
    "pin_memory",
    "persistent_workers",
    "timeout",
    "multiprocessing_context",
    "worker_init_fn",
)
"""Parameters of `torch.utils.data.DataLoader` that a net's ``iterator_train__*`` and ``iterator_valid__*`` set."""

MOST_WORKERS = 8

PAYS_PER_ROW = 2e-4
"""Seconds of a row from which workers are worth the way of its numbers through shared memory."""

PAYS_IN_ALL = 1.0
"""Seconds of reading from which workers are worth their start."""

PROBE_SECONDS = 0.2
"""Seconds of reading that tell how long a row takes."""

PIECE_ROWS, PIECE_BYTES = 64, 2**22
"""Most that a worker reads and sends at a time."""

AT_ITS_END = 1.0
"""Seconds in which a worker whose connection has ended is gone."""

SHARED = "/dev/shm"


class Workers:
    """Worker processes that read pieces of rows, kept from one pass to the next.

    Parameters
    ----------
    reader : RowReader
    options : dict
        Of `OPTIONS`; ``num_workers`` is at least 1.
    device : torch.device
        CUDA devices get pinned memory unless ``pin_memory`` says otherwise.
    """

    def __init__(self, reader: RowReader, options: dict[str, Any], device: torch.device) -> None:
        usual = {"pin_memory": device.type == "cuda", "multiprocessing_context": start_method()}
        settings = {"persistent_workers": True} | usual | options
        self.busy = torch.full((settings["num_workers"], 2), IDLE).share_memory_()
        self.dataset = reader.dataset
        self.pieces: list[list[int]] = []
        self.in_use = False
        self.iterator: Any = None  # of the last pass: holds the processes
        self.loader: DataLoader = DataLoader(
            RowReader(reader.dataset, reader.isolated, self.busy),  # type: ignore[arg-type]
            batch_sampler=_Plan(self.pieces),
            collate_fn=_as_it_is,
            generator=torch.Generator().manual_seed(0),  # the global one is left alone
            **settings,
        )

    def read(self, pieces: list[Tensor]) -> Iterator[Tensor]:
        """Rows of each piece (b,) of indices, in order: (b, ...) on the CPU.

        Raises
        ------
        RowReadError
            For a row that cannot be read.
        Exception
            Of many kinds, for a worker that died: see `of_dead_worker`.
        """
        self.pieces[:] = [piece.tolist() for piece in pieces]
        self.in_use = True
        try:
            self.iterator = iter(self.loader)
            for rows in self.iterator:
                if isinstance(rows, Unread):
                    raise rows.error
                yield rows
        finally:
            self.in_use = False
            if not self.loader.persistent_workers:
                self.close()

    def of_dead_worker(self, error: Exception) -> Exception | None:
        """Where ``error`` tells of a worker that died, one that names the row which it was reading; else None."""
        is_told = isinstance(error, (OSError, EOFError)) or "DataLoader worker" in str(error)
        dead = self._dead() if is_told and self.iterator is not None else set()
        if not dead:
            return None
        rows = [row for pid, row in self.busy.tolist() if pid in dead and row != IDLE]
        text = str(error) or type(error).__name__
        if not rows:
            return RuntimeError(f"a worker that reads rows died ({text})")
        return RowReadError(rows[0], file_of(self.dataset, rows[0]), f"the worker reading it died ({text})")

    def _dead(self) -> set[int | None]:
        """Processes of the workers that have ended, or are about to: their connections end before they do."""
        processes = self.iterator._workers
        with contextlib.suppress(RuntimeError):  # of torch, which hears of the end by a signal
            multiprocessing.connection.wait([process.sentinel for process in processes], AT_ITS_END)
        return {process.pid for process in processes if not process.is_alive()}

    def close(self) -> None:
        """End the worker processes, also where the traceback of an error holds on to what reads from them."""
        iterator, self.iterator = self.iterator, None
        self.loader._iterator = None
        if iterator is not None:
            iterator._shutdown_workers()


class _Plan:
    """The pieces of the pass that is about to begin."""

    def __init__(self, pieces: list[list[int]]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[list[int]]:
        return iter(list(self.pieces))

    def __len__(self) -> int:
        return len(self.pieces)


def _as_it_is(rows: Any) -> Any:
    return rows


def pieces_of(rows: Tensor, row_bytes: int) -> list[Tensor]:
    """Row indices (B,) in pieces of at most `PIECE_ROWS` rows and about `PIECE_BYTES` bytes."""
    return list(rows.split(max(1, min(PIECE_ROWS, PIECE_BYTES // max(1, row_bytes)))))


def may_have_workers() -> bool:
    """Whether this process may have processes of its own; daemons, as of joblib's "multiprocessing", may not."""
    return not multiprocessing.current_process().daemon


def start_method() -> str | None:
    """How workers are started; None is as this process starts others, which torch cannot in those of joblib's loky."""
    known = multiprocessing.get_all_start_methods()
    return None if multiprocessing.get_start_method() in known else known[0]


def n_workers_here(row_bytes: int) -> int:
    """How many workers this process may start unasked: ``min(8, cores)``, or 0 where they are no safe default.

    That is in a process that is itself a worker, where processes are not forked (they would run the caller's script
    anew), where there is one core only, and where shared memory is short.
    """
    if multiprocessing.get_start_method() != "fork" or multiprocessing.parent_process() is not None:
        return 0
    cores = joblib.cpu_count() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    n_workers = min(MOST_WORKERS, cores)
    in_flight = 4 * n_workers * max(PIECE_BYTES, row_bytes)
    if n_workers < 2 or (os.path.isdir(SHARED) and shutil.disk_usage(SHARED).free < in_flight):
        return 0
    return n_workers
