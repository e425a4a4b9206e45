"""What every part knows: device, scale, sizes, and the lines that are already there."""

import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
NEEDED = {"job", "part", "device_type", "scale"}
"""What a line must have to be one of ours."""

PACKAGES = ("torch", "torchvision", "skorch", "scikit-learn", "numpy")

SIZES = {
    "full": {"pictures": 50_000, "reference": 10_000, "test": 10_000, "repeats": 3, "workers": 16, "batch": 128},
    "tiny": {"pictures": 64, "reference": 8, "test": 32, "repeats": 1, "workers": 0, "batch": 32},
}
"""Pictures of a cycle, of the reference loop and of an inference; timed cycles; loader workers; rows a step."""


@dataclass
class Context:
    """Where a part runs and what it may use."""

    device: torch.device
    scale: str
    out: Path
    data: Path | None = None
    together: int = 3
    fit_minutes: float = 6.5
    """Of one accuracy run: how many cycles it has follows from it."""
    sizes: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = dict(SIZES[self.scale])
        self.sizes["workers"] = min(self.sizes["workers"], os.cpu_count() or 1)

    @property
    def tiny(self) -> bool:
        """Whether the sizes only show that everything runs."""
        return self.scale == "tiny"

    def lines(self) -> list[dict]:
        """Lines of this device type and scale, the last one of each job."""
        found = {
            line["job"]: line
            for line in read_lines(self.out)
            if (line["device_type"], line["scale"]) == (self.device.type, self.scale)
        }
        return list(found.values())


def read_lines(folder: Path) -> Iterator[dict]:
    """Every line of every result file, in the order of writing within a file; damaged ones are left out."""
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_bytes().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and line.keys() >= NEEDED:
                yield line


def append_line(context: Context, part: str, job: str, outcome: dict, seconds: float) -> None:
    """One whole line at the end of the part's file; `outcome` has "result", "skipped" or "error".

    Where it cannot be written it is printed: what was measured is not lost.
    """
    from machine import device_name

    line = {"job": job, "part": part, "device_type": context.device.type, "scale": context.scale}
    line |= {"device": device_name(context.device), "versions": versions(), "command": command(context, job)}
    line |= {"when": time.strftime("%Y-%m-%d"), "seconds": round(seconds, 2)} | outcome
    text = json.dumps(plain(line), allow_nan=False)
    try:
        context.out.mkdir(parents=True, exist_ok=True)
        write_line(context.out / f"{part}.jsonl", text)
    except OSError:
        print(text, flush=True)
        raise


def plain(value: Any) -> Any:
    """Nested values as JSON has them: NumPy's numbers as Python's, NaN and infinity, which it has not, as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (str, int, type(None))):
        return value
    number = float(value) if isinstance(value, float) else value.item() if hasattr(value, "item") else str(value)
    return None if isinstance(number, float) and not math.isfinite(number) else number


def write_line(path: Path, text: str) -> None:
    """Append one line on disk, in one write so that processes do not mix; one cut short before is ended first."""
    with open(path, "ab+", buffering=0) as file:
        cut = file.tell() > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
        left = (b"\n" if cut else b"") + text.encode() + b"\n"
        while left:  # on a disk that is nearly full a write may take a part; the next one then says why
            left = left[file.write(left) :]
        os.fsync(file.fileno())


def versions() -> dict[str, str]:
    """Python's, the packages', CUDA's and cuDNN's."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    if torch.version.cuda:
        found |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    from noisyflywheel.reproduce.record import commit

    return found | {"commit": commit()}


def command(context: Context, job: str) -> str:
    """The command of one job, without the paths of this machine."""
    data = " --data cifar10n.npz" if context.data else ""
    where = f"--device {context.device.type} --scale {context.scale}"
    where += f" --fit-minutes {context.fit_minutes:g}" if context.fit_minutes != Context.fit_minutes else ""
    return f"python examples/gpu/run.py --out DIR{data} {where} --only '{job}'"


def synchronize(device: torch.device) -> None:
    """Wait for a GPU; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = 3) -> list[float]:
    """Seconds of each run, the device waited for before and after; the first run is there too."""
    taken = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        taken.append(time.perf_counter() - start)
    return taken


def median_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Median of each column."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def share_code() -> None:
    """Let this checkout's package and the benchmarks' peers be found, here and in child processes."""
    paths = [str(ROOT), str(ROOT / "examples" / "benchmarks"), str(Path(__file__).parent)]
    sys.path[:0] = [path for path in paths if path not in sys.path]
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*paths, *filter(None, known)]))
