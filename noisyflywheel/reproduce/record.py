"""The JSON file of a run: whole at every moment, and enough to know what was run where."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noisyflywheel import __version__
from noisyflywheel.persistence.whole import replace_file

FORMAT = "noisyflywheel-reproduce-1"


def environment(device: torch.device) -> dict[str, Any]:
    """Device, versions and commit."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version(name) for name in ("torchvision", "scikit-learn", "skorch", "numpy")},
        "commit": commit(),
    }


def device_name(device: torch.device) -> str:
    """The model of a GPU or processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str:
    """The commit that this package ran from, ``+changes`` where files differ; else its version."""
    package = Path(__file__).resolve().parents[1]
    try:  # a repository that merely contains the installed package does not count
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        changed = _git(package, "status", "--porcelain", "--untracked-files=no", ".")
        return _git(package, "rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return f"version {__version__}"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is the old one or the new one, whole, also after a crash; NaN becomes null."""
    text = json.dumps(plain(content), indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a run's file.

    Raises
    ------
    ValueError
        If it is not one; the message names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is not a result of `noisyflywheel reproduce`")
    return content


def plain(value: Any) -> Any:
    """Numbers, strings, lists and dicts as JSON gives them back; numbers that are not finite become None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
