"""Files that are the old one or the new one, whole, also after a crash."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from noisyflywheel.data.paths import user_path


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside ``path`` to write to, which takes its place once it is whole on the disk.

    Raises
    ------
    OSError
        That names ``path``, not the name beside it: on Windows also where it is open in another program.
    """
    path = user_path(path)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        yield part
        with open(part, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        locked = isinstance(error, PermissionError) and os.path.exists(path)
        open_elsewhere = ", or it is open in another program" if locked else ""
        raise OSError(error.errno, f"{error.strerror}{open_elsewhere}", str(path)) from error  # of the same subclass
    finally:
        part.unlink(missing_ok=True)


def replace_file(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file whole or not at all; errors as of `whole_file`."""
    with whole_file(path) as part:
        part.write_bytes(data)
    return user_path(path)
