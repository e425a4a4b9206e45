"""Whole directories or nothing: write into a hidden one, fsync, rename."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from noisyflywheel.exceptions import CheckpointError

GENERATION = re.compile(r"generation-(\d{8})")
"""Names of finished directories; the highest number is the newest."""

_HIDDEN = ".unfinished-"


def generations(directory: Path) -> list[Path]:
    """Finished directories inside ``directory``, oldest first.

    Raises
    ------
    CheckpointError
        If ``directory`` is a file or cannot be read.
    """
    try:
        names = [entry.name for entry in os.scandir(directory) if GENERATION.fullmatch(entry.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(directory, f"cannot be read ({error.strerror})") from error
    return [directory / name for name in sorted(names)]


def write_generation(directory: Path, files: dict[str, bytes]) -> Path:
    """Write ``files`` as the newest generation of ``directory``; older ones go once it is on the disk.

    Each file is written and fsynced in a hidden directory, which is fsynced and renamed; then ``directory``
    is fsynced. A crash at any point leaves the generation before or the new one, whole.

    Parameters
    ----------
    directory : Path
        Made if it is not there.
    files : dict of str to bytes
        Plain file names.

    Raises
    ------
    CheckpointError
        If the disk is full, or the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        remove_unfinished(directory)
        older = generations(directory)
        number = 1 + int(older[-1].name.removeprefix("generation-")) if older else 0
        final = directory / f"generation-{number:08d}"
        with _hidden_directory(directory) as hidden:
            for name, content in files.items():
                _write(hidden / name, content)
            sync_directory(hidden)
            os.rename(hidden, final)
        sync_directory(directory)
    except OSError as error:
        raise CheckpointError(error.filename or directory, f"cannot be written ({error.strerror})") from error
    for path in older:
        shutil.rmtree(path, ignore_errors=True)
    return final


def remove_unfinished(directory: Path) -> None:
    """Remove what killed writers left behind."""
    for path in directory.glob(f"{_HIDDEN}*"):
        shutil.rmtree(path, ignore_errors=True)


def sync_directory(directory: Path) -> None:
    """Put the entries of a directory on the disk (nothing to do where directories cannot be opened)."""
    if os.name == "nt":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _hidden_directory(directory: Path) -> Iterator[Path]:
    """A fresh directory that is gone, or renamed, at the end."""
    path = directory / f"{_HIDDEN}{uuid.uuid4().hex}"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    try:
        with open(path, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(path)
        raise
