"""One folder per fit: named by what is fitted, locked while it runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from noisyflywheel.exceptions import CheckpointError

try:
    import fcntl
except ImportError:  # Windows has no flock: parallel fits of the very same data and parameters are not told apart
    fcntl = None  # type: ignore[assignment]

MAX_SLOTS = 256


@contextlib.contextmanager
def fit_folder(root: str | os.PathLike[str], key: str) -> Iterator[Path]:
    """The folder of one fit inside ``root``, held by this process until the end.

    Fits that differ in data or parameters have different keys and so different folders. Fits that do not, and
    run at the same time, take ``key``, ``key-1``, ``key-2`` ...: the first that no living process holds. The
    lock goes with its process, also when that is killed.

    Parameters
    ----------
    root : path-like
        ``checkpoint_dir``; made if it is not there.
    key : str
        Hexadecimal, of data and parameters (see `noisyflywheel.persistence.fingerprint`).

    Raises
    ------
    CheckpointError
        If ``root`` is a file or cannot be written.
    """
    for i in range(MAX_SLOTS):
        folder = Path(root) / (key[:16] if i == 0 else f"{key[:16]}-{i}")
        handle = _try_lock(folder)
        if handle is not None:
            try:
                yield folder
            finally:
                os.close(handle)
            return
    raise CheckpointError(root, f"{MAX_SLOTS} fits of the same data and parameters run at once")


def _try_lock(folder: Path) -> int | None:
    """An open handle that holds the folder's lock, or None if another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise CheckpointError(folder, f"checkpoint_dir cannot be written ({error.strerror})") from error
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError as error:
        os.close(handle)
        raise CheckpointError(folder, f"cannot be locked ({error.strerror})") from error
    return handle
