"""The manifest of a checkpoint: format, sizes, SHA-256 of every file, and of itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from noisyflywheel.exceptions import CheckpointError

FORMAT = "noisyflywheel-checkpoint"
VERSION = 1
"""Raised when an older library could not read what is written."""


def dump_manifest(files: dict[str, bytes], meta: dict[str, Any]) -> bytes:
    """Manifest of ``files`` with the JSON values ``meta``.

    Raises
    ------
    TypeError, ValueError
        If ``meta`` holds what JSON cannot (NaN and infinity included).
    """
    body = {
        "format": FORMAT,
        "version": VERSION,
        "files": {name: _description(content) for name, content in files.items()},
        "meta": meta,
    }
    return _canonical(body | {"sha256": _digest(_canonical(body))})


def parse_manifest(raw: bytes, path: Path) -> dict[str, Any]:
    """The manifest's content after all checks that need no other file.

    Raises
    ------
    CheckpointError
        If it is no manifest of a known version, or one byte of it was changed.
    """
    if not raw:
        raise CheckpointError(path, "the file is empty")
    try:
        manifest = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"damaged: not readable as JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CheckpointError(path, f"not a manifest of format {FORMAT!r}")
    _check_version(manifest.get("version"), path)
    body = {key: value for key, value in manifest.items() if key != "sha256"}
    try:
        intact = manifest.get("sha256") == _digest(_canonical(body)) and _canonical(manifest) == raw
    except (ValueError, RecursionError):
        intact = False
    if not intact:
        raise CheckpointError(path, "damaged: the manifest does not match its own SHA-256")
    if set(body) != {"format", "version", "files", "meta"} or not isinstance(body["files"], dict):
        raise CheckpointError(path, "damaged: the manifest lacks its parts")
    return body


def check_file(content: bytes, description: Any, path: Path) -> None:
    """Compare a file with its description in the manifest.

    Raises
    ------
    CheckpointError
        If it is empty, truncated, longer than it was, or has a changed byte.
    """
    if not isinstance(description, dict) or set(description) != {"size", "sha256"}:
        raise CheckpointError(path, "damaged: the manifest does not describe this file")
    size = description["size"]
    if not isinstance(size, int):
        raise CheckpointError(path, "damaged: the manifest gives no size")
    if len(content) != size:
        kind = "empty" if not content else "truncated" if len(content) < size else "too long"
        raise CheckpointError(path, f"the file is {kind} ({len(content)} bytes, manifest: {size})")
    if _digest(content) != description["sha256"]:
        raise CheckpointError(path, "damaged: the content does not match its SHA-256")


def _check_version(version: Any, path: Path) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CheckpointError(path, f"damaged: version {version!r} is no positive integer")
    if version > VERSION:
        raise CheckpointError(
            path, f"has the newer format {version}; this library reads up to {VERSION}: update noisyflywheel"
        )


def _description(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": _digest(content)}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")
