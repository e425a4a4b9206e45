"""One folder per fit: named by what is fitted, locked while it runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.persistence.store import os_errors, refuse_format_1

MAX_FOLDERS = 256


@contextlib.contextmanager
def fit_folder(root: str | os.PathLike[str], key: str) -> Iterator[Path]:
    """The folder of one fit inside ``root``, the ``checkpoint_dir``, held by this process until the end.

    Fits that differ in data or parameters have different keys (`fit_key`), so different folders. Fits that do not, and
    run at the same time, take ``key``, ``key-1``, ``key-2`` ...: the first that no living process holds. The
    lock goes with its process, also when that is killed.

    Raises
    ------
    CheckpointError
        If ``root`` is a file, cannot be written, or holds checkpoints of the first format.
    """
    refuse_format_1(root, "*/generation-*")
    for i in range(MAX_FOLDERS):
        folder = Path(root) / (key[:16] if i == 0 else f"{key[:16]}-{i}")
        lock = _try_lock(folder)
        if lock is not None:
            with lock:
                yield folder
            return
    raise CheckpointError(root, f"{MAX_FOLDERS} fits of the same data and parameters run at once")


def _try_lock(folder: Path) -> contextlib.AbstractContextManager[Any] | None:
    """What holds the folder until its end, or None if another process holds it."""
    with os_errors(folder, "checkpoint_dir cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return FileLock(folder / "lock").acquire(timeout=0)
        except Timeout:
            return None
