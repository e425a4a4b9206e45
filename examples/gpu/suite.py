"""Part 1: the tests marked `cuda`, or on a CPU a few of their device-independent forms."""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from context import ROOT, Context

FOLDER = ROOT / "tests" / "cuda"
LIMIT = 300
"""Seconds after which the tests are stopped."""

MOST_WORKERS = 8

TOLD = r"(?:^|\] )(?:(PASSED|FAILED|ERROR|SKIPPED) )?([^\s\[]+\.py::.*?)(?: (PASSED|FAILED|ERROR|SKIPPED)\b.*)?$"
"""A line of pytest's log: a test that begins, or the outcome of one, of one process or of several."""


def run(context: Context) -> dict[str, Any]:
    """How many tests passed, failed and were skipped, the names of those that failed, the slowest ones.

    Where they do not end in time, the same of those that did, and the names of those under way.
    """
    tests = [str(FOLDER)]
    if context.tiny:
        tests = [str(FOLDER / "test_views.py"), str(FOLDER / "test_random_state.py")]
    marks = "cuda" if context.device.type == "cuda" else "not cuda"
    context.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open(context.out / "tests.log", "w", encoding="utf-8") as log:
        report = Path(folder, "report.xml")
        options = ["-o", "addopts=", "-p", "no:cacheprovider", "-v", "-m", marks, f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", *options, *workers(context), "--rootdir", str(ROOT), *tests]
        # whatever else is installed on that machine, and processes that would share their cores with each other
        env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdout=log, stderr=log, cwd=ROOT, env=env, timeout=LIMIT)
        if report.exists():
            return summary(ElementTree.parse(report).getroot())
    said = (context.out / "tests.log").read_text(encoding="utf-8", errors="replace")
    return so_far(said) or {"error": said[-2000:]}


def so_far(said: str) -> dict[str, Any] | None:
    """Counts and names from pytest's log, that of a run which did not end; None where no test had begun."""
    found: dict[str, str | None] = {}
    for told in re.finditer(TOLD, said, re.MULTILINE):
        name, outcome = told[2].strip(), told[1] or told[3]
        found[name] = outcome or found.get(name)
    failed = [name for name, outcome in found.items() if outcome in ("FAILED", "ERROR")]
    unfinished = [name for name, outcome in found.items() if outcome is None]
    counts = {kind.lower(): sum(outcome == kind for outcome in found.values()) for kind in ("PASSED", "SKIPPED")}
    return counts | {"failed": failed, "messages": [], "unfinished": unfinished} if found else None


def workers(context: Context) -> list[str]:
    """Options that share the tests among processes, where pytest-xdist is installed and there are cores for it."""
    n = min(MOST_WORKERS, (os.cpu_count() or 1) // 2)
    if context.tiny or n < 2 or find_spec("xdist") is None:
        return []
    return ["-p", "xdist", "-n", str(n)]


def summary(root: ElementTree.Element) -> dict[str, Any]:
    """Counts and names from pytest's report."""
    cases = list(root.iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    slow = sorted(cases, key=lambda case: -float(case.get("time", 0)))[:5]
    return {
        "passed": len(cases) - len(failed) - len(skipped),
        "failed": [f"{case.get('classname')}::{case.get('name')}" for case in failed],
        "messages": [_message(case).replace(str(ROOT), ".")[:600] for case in failed],
        "skipped": len(skipped),
        "slowest": {f"{case.get('name')}": float(case.get("time", 0)) for case in slow},
    }


def _message(case: ElementTree.Element) -> str:
    parts = [case.find(kind) for kind in ("failure", "error")]
    return next((part.get("message") or "" for part in parts if part is not None), "")
