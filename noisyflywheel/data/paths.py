"""Paths as users give them."""

from __future__ import annotations

import os
from pathlib import Path


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path with the home folder in place of a ``~`` or ``~name`` at its start, as in a shell."""
    return Path(os.path.expanduser(path))
