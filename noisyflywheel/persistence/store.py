"""States on the disk, one a folder: a line with format, version and SHA-256, then what ``torch.save`` writes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import io
import itertools
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from noisyflywheel.data.paths import user_path
from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.persistence.values import decode, encode

FILE = "state.bin"
FORMAT = 2
"""Raised when an older library could not read what is written."""

NO_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)
"""What network file systems say to the fsync of a directory that know none."""

_HEADER = re.compile(rb"(noisyflywheel (\d{1,9}) (\S{1,64})) ([0-9a-f]{64})\n")
_UNFINISHED = ".unfinished-"


def save_checkpoint(directory: str | os.PathLike[str], state: dict[str, Any]) -> Path:
    """Write a state into ``directory``; the one before is there until the new one is whole on the disk.

    It is written and fsynced under a hidden name and renamed, then ``directory``, which is made, is fsynced. Returns
    the path of the file. Raises `CheckpointError` if the disk is full or the directory cannot be written, TypeError if
    ``state`` holds what cannot be stored (see `noisyflywheel.persistence.values.encode`).
    """
    parts = pack(state)
    directory = user_path(directory)
    with _os_errors(directory, "cannot be written"):
        directory.mkdir(parents=True, exist_ok=True)
    path, hidden = directory / FILE, directory / f"{_UNFINISHED}{uuid.uuid4().hex}"
    with _os_errors(path, "cannot be written"):
        for left in directory.glob(f"{_UNFINISHED}*"):  # of writers that were killed
            left.unlink(missing_ok=True)
        try:
            _write(hidden, parts)
            os.replace(hidden, path)
        finally:
            hidden.unlink(missing_ok=True)
        sync_directory(directory)
    return path


def load_checkpoint(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the state in ``directory``, tensors on the CPU; nothing is imported or executed.

    Every byte is compared with the SHA-256 before it is parsed. Raises `CheckpointError` if there is none, or it is
    empty, truncated, changed or of another format.
    """
    path = user_path(directory) / FILE
    with _os_errors(path, "cannot be read"):
        if path.exists():
            return unpack(path.read_bytes(), path)
    _refuse_format_1(directory, "generation-*")
    raise CheckpointError(directory, "holds no checkpoint")


def has_checkpoint(directory: str | os.PathLike[str]) -> bool:
    """Whether ``directory`` holds a checkpoint, whole or not."""
    path = user_path(directory) / FILE
    with _os_errors(path, "cannot be read"):
        return path.exists()


def pack(state: dict[str, Any]) -> tuple[bytes, bytes]:
    """First line and content of a file that holds ``state``."""
    buffer = io.BytesIO()
    torch.save(encode(state), buffer)
    content = buffer.getvalue()  # no copy; a view would outlive the buffer in a cycle of references
    start = f"noisyflywheel {FORMAT} {_library_version()}".encode()
    return b"%s %s\n" % (start, _digest(start, content)), content


def unpack(content: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state in the content of the file ``path``; `CheckpointError` as in `load_checkpoint`."""
    if not content:
        raise CheckpointError(path, "the file is empty")
    header = _HEADER.match(content)
    if header is None:
        raise CheckpointError(path, "damaged, or no file of this library: its first line is another")
    if int(header[2]) != FORMAT:
        writer = f"was written by noisyflywheel {header[3].decode(errors='replace')} in format {int(header[2])}"
        raise CheckpointError(path, f"{writer}; this library reads format {FORMAT} only")
    rest = memoryview(content)[header.end() :]
    if header[4] != _digest(header[1], rest):
        raise CheckpointError(path, "damaged: truncated or changed, it does not match its SHA-256")
    try:
        state = decode(torch.load(io.BytesIO(rest), map_location="cpu", weights_only=True))
    except Exception as error:  # torch's reader raises many kinds
        raise CheckpointError(path, f"holds no state of this library ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise CheckpointError(path, f"holds a {type(state).__name__} instead of a state")
    return state


@contextlib.contextmanager
def fit_folder(root: str | os.PathLike[str], key: str) -> Iterator[Path]:
    """The folder of one fit inside ``root``, the ``checkpoint_dir``, held by this process until the end.

    Fits that differ in data or parameters have different keys (`fit_key`), so different folders. Fits that do not, and
    run at the same time, take ``key``, ``key-1``, ``key-2`` ...: the first that no living process holds. The lock goes
    with its process, also when that is killed. Raises `CheckpointError` if ``root`` is a file, cannot be written, or
    holds checkpoints of the first format.
    """
    _refuse_format_1(root, "*/generation-*")
    for i in itertools.count():
        folder = user_path(root) / (key[:16] if i == 0 else f"{key[:16]}-{i}")
        with _os_errors(folder, "checkpoint_dir cannot be written"):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock = FileLock(folder / "lock").acquire(timeout=0)
            except Timeout:  # another process holds it
                continue
        with lock:
            yield folder
        return


def _refuse_format_1(directory: str | os.PathLike[str], pattern: str) -> None:
    """Raise `CheckpointError` if files of the first format match ``pattern`` in ``directory``."""
    old = next(user_path(directory).glob(pattern), None)
    if old is not None:
        reason = f"was written by noisyflywheel 0.1.0 in format 1; this library reads format {FORMAT} only"
        raise CheckpointError(old, f"{reason}: fit again, in another directory or after removing this one")


@contextlib.contextmanager
def _os_errors(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Errors of the operating system as `CheckpointError` that names ``path``."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(path, f"{what} ({error.strerror})") from error


def sync_directory(directory: Path) -> None:
    """Put the entries of a directory on the disk, where its file system does that (nothing to do on Windows)."""
    if os.name != "nt":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise
        finally:
            os.close(handle)


def _write(path: Path, parts: tuple[bytes, bytes]) -> None:
    with open(path, "xb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _digest(start: bytes, content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(start)
    digest.update(content)
    return digest.hexdigest().encode()


def _library_version() -> str:
    try:
        return importlib.metadata.version("noisyflywheel")
    except importlib.metadata.PackageNotFoundError:  # a source tree that is not installed
        return "unknown"
