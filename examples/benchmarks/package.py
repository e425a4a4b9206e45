"""The package from a user's side: sdist and wheel build, install and audit a file; size and time beside cleanlab's.

`build` makes both archives, looks into them, installs the wheel into a fresh environment (`--no-deps` with the
packages of this one, or from the registry with `--fresh`) and audits a small file there. `measure` installs this
package and cleanlab, each into a fresh environment without a cache, and notes seconds (which the network decides),
packages, megabytes (in all, and those for NVIDIA's GPUs only) and the time of an import. Needs the package `build`.

    python examples/benchmarks/package.py build
    python examples/benchmarks/package.py measure --json package.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MUST_HOLD = ("noisyflywheel/py.typed", "noisyflywheel/audit/report/page.html", "noisyflywheel/audit/report/review.html")
INSTALLS: dict[str, tuple[str | Path, str]] = {
    "noisyflywheel": (ROOT, "from noisyflywheel import FlywheelClassifier"),
    "cleanlab": ("cleanlab", "from cleanlab.classification import CleanLearning"),
}
"""What is installed, and the import that a user begins with."""

ROWS = "width,height,kind\n" + "".join(f"{i % 7}.{i % 10},{i % 3},{'ab'[i % 7 > 3]}\n" for i in range(120))


def run(*command: object, cwd: Path | None = None, **more: str) -> str:
    """Run a command and return what it prints; its errors are ours."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, env=environment)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def fresh(folder: Path, with_ours: bool = False) -> Path:
    """Python of a new environment, which sees the packages of this one if asked to."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    if with_ours:
        site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        ours = next(path for path in sys.path if path.endswith("site-packages"))
        (Path(site) / "outer.pth").write_text(f"{ours}\n", encoding="utf-8")
    return python


def archives(folder: Path) -> tuple[Path, Path]:
    """Build sdist and wheel, and check that both hold what a user needs."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    inside = zipfile.ZipFile(wheel).namelist()
    missing = [name for name in MUST_HOLD if name not in inside]
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    missing += [name for name in (*MUST_HOLD, "LICENSE", "README.md", "pyproject.toml") if name not in names]
    if missing:
        raise RuntimeError(f"not in the archives: {missing}")
    return sdist, wheel


def audit_somewhere(python: Path, folder: Path) -> list[str]:
    """Audit a small file by the installed command; names of what it wrote."""
    (folder / "rows.csv").write_text(ROWS, encoding="utf-8")
    where = run(python, "-c", "import noisyflywheel; print(noisyflywheel.__file__)", cwd=folder)
    if str(ROOT) in where:
        raise RuntimeError(f"not the installed package: {where}")
    run(python, "-m", "noisyflywheel", "audit", "rows.csv", "--label", "kind", "--out", "out", cwd=folder)
    return sorted(path.name for path in (folder / "out").iterdir())


def build(from_registry: bool) -> None:
    """Archives, an install of the wheel, an audit with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist, wheel = archives(folder / "dist")
        print(f"{sdist.name}: {sdist.stat().st_size / 1024:.0f} kB, {wheel.name}: {wheel.stat().st_size / 1024:.0f} kB")
        python = fresh(folder / "env", with_ours=not from_registry)
        run(python, "-m", "pip", "install", *([] if from_registry else ["--no-deps", "--force-reinstall"]), wheel)
        print("audit wrote", ", ".join(audit_somewhere(python, folder)))


def megabytes(files: Iterable[Path]) -> float:
    """Size of files together."""
    return round(sum(path.stat().st_size for path in files) / 2**20, 1)


def is_for_cuda(path: Path) -> bool:
    """Whether a file serves NVIDIA's GPUs only."""
    return bool({"nvidia", "triton"} & set(path.parts)) or "_cuda" in path.name and ".so" in path.suffixes


def import_seconds(python: Path, statement: str, repeats: int = 5) -> float:
    """Processor seconds of a new interpreter that runs a statement, less those of one that does nothing."""

    def least(code: str) -> float:
        timed = f"{code}\nimport time; print(time.process_time())"
        return min(float(run(python, "-c", timed)) for _ in range(repeats))

    return round(least(statement) - least(""), 2)


def measure_install(what: str | Path, statement: str) -> dict[str, Any]:
    """Seconds, packages and megabytes of an install into a fresh environment without a cache; time of an import."""
    with tempfile.TemporaryDirectory() as name:
        python = fresh(Path(name))
        start = time.perf_counter()
        run(python, "-m", "pip", "install", "--no-cache-dir", what)
        seconds = time.perf_counter() - start
        found = {p["name"]: p["version"] for p in json.loads(run(python, "-m", "pip", "list", "--format", "json"))}
        files = [path for path in Path(name, "lib").rglob("*") if path.is_file() and not path.is_symlink()]
        sizes = {"megabytes": megabytes(files), "megabytes_for_cuda": megabytes(filter(is_for_cuda, files))}
        imported = import_seconds(python, statement)
    keep = {name: found[name] for name in ("noisyflywheel", "cleanlab", "torch", "scikit-learn") if name in found}
    return {
        "install_seconds": round(seconds, 1),
        "packages": len(found) - len({"pip", "setuptools"} & set(found)),
        **sizes,
        "import": statement,
        "import_seconds": imported,
        "versions": keep,
    }


def measure(out: Path | None) -> None:
    """This package and cleanlab, one after the other."""
    result: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    for name, (what, statement) in INSTALLS.items():
        result[name] = measure_install(what, statement)
        print(name, result[name])
    if out is not None:
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build").add_argument("--fresh", action="store_true", help="install from the registry")
    commands.add_parser("measure").add_argument("--json", type=Path, help="where to write the result")
    arguments = parser.parse_args(argv)
    if arguments.command == "build":
        build(arguments.fresh)
    else:
        measure(arguments.json)


if __name__ == "__main__":
    main()
