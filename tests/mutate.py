"""Mutation test: change the sources a little, one place at a time, and see whether their tests notice.

    python tests/mutate.py noisyflywheel/em --tests tests/em --out examples/benchmarks/results/mutation.txt

Each ``SOURCE``, a file or all files below a folder, is tested by the folder in the same place of ``--tests``:
``NAME.py`` by ``test_NAME.py``, ``test_FOLDER_NAME.py``, ``test_NAME_by_hand.py`` and what `ALSO` adds, by the whole
folder where there is none. torch and the other large packages are imported once; each mutant runs in a fork that stops
at the first failure or after a limit of processor time. Mutants that survive are listed; those in
``mutate_explained.toml`` are equivalent to the source, for the reason given there. With ``--resume FILE`` every death
is noted in the file, and mutants that died in an earlier run are not run again: a run can be cut off, and what a new
test kills is seen at once. Remove the file after a test was weakened.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import shlex
import signal
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from mutators import Mutant, mutants

HEAVY = [
    "torch",
    "torchvision.transforms.v2",
    "skorch.helper",
    "sklearn.datasets",
    "sklearn.isotonic",
    "sklearn.pipeline",
    "pandas",
    "scipy.stats",
    "PIL.Image",
    "pytest",
    "hypothesis.strategies",
    "hypothesis.extra.numpy",
    "tqdm.auto",
    "safetensors.torch",
]
"""What tests import and no mutant changes."""

ALSO = {
    "noisyflywheel/em": ["test_properties.py"],
    "noisyflywheel/loop/auxiliary_em.py": ["test_steps_of_ranks.py"],
    "noisyflywheel/loop/main_em.py": ["test_steps_of_ranks.py"],
    "noisyflywheel/loop/flywheel.py": ["decisions/test_view_strength.py", "test_run.py", "test_steps_of_ranks.py"],
    "noisyflywheel/loop/parts.py": [
        "decisions/test_view_strength.py",
        "test_flywheel.py",
        "test_run.py",
        "with_folds/test_rounds.py",
    ],
    "noisyflywheel/loop/with_folds/out_of_fold.py": ["test_rounds.py"],
    "noisyflywheel/loop/with_folds/folded_parts.py": ["test_out_of_fold.py", "test_rounds.py"],
    "noisyflywheel/loop/with_folds/folded_warmup.py": ["test_out_of_fold.py"],
    "noisyflywheel/loop/run.py": [
        "decisions/test_view_strength.py",
        "with_folds/test_rounds.py",
        "test_warmup_run.py",
    ],
    "noisyflywheel/loop/state.py": ["decisions/test_view_strength.py"],
    "noisyflywheel/loop/large.py": ["test_large_steps.py"],
    "noisyflywheel/loop/loader.py": ["test_loader_of_ranks.py", "with_folds/test_out_of_fold.py", "test_large.py"],
}
"""Further tests of a file, or of every file of a folder."""

EXPLAINED = Path(__file__).with_name("mutate_explained.toml")


@dataclass
class Job:
    """One mutant of one file and what its tests said: killed, survived, timeout, or explained where it survived."""

    path: Path
    mutant: Mutant
    tests: list[str]
    verdict: str = ""

    @property
    def digest(self) -> str:
        """Of the mutant's file and source."""
        return hashlib.sha256(f"{self.path.as_posix()} {self.mutant.source}".encode()).hexdigest()[:24]


def main() -> int:
    """Run the mutants and write the table; 1 if the tests fail without any, or too many mutants survive."""
    args = parse()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(Path(__file__).parents[1])
    sys.path.insert(0, os.getcwd())
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # the collections at the end of each pytest run would walk it
    jobs = [
        Job(path, mutant, tests_of(path, room))
        for source, tests in zip(args.sources, args.tests, strict=True)
        for path, room in files_of(Path(source), Path(tests))
        for mutant in [*mutants(path.read_text("utf-8"))][:: args.every]
        if args.only in mutant.name
    ]
    recall(jobs, args.resume)
    waiting = [job for job in jobs if not job.verdict]
    limits = baseline(waiting)
    if limits is None:
        return 1
    run_all(waiting, limits, args.jobs, args.resume)
    explain(jobs)
    report = table(jobs) + ["", *survivors(jobs)]
    print("\n".join(report))
    if args.out:
        Path(args.out).write_text("\n".join([f"$ {command()}", "", *report, ""]), "utf-8")
    return 0


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("sources", nargs="+", help="files or folders to mutate")
    parser.add_argument("--tests", nargs="+", required=True, help="a folder (or file) of tests for each source")
    parser.add_argument("--out", help="file for the table")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--resume", help="file of the mutants that died so far")
    parser.add_argument("--every", type=int, default=1, help="run a sample: one mutant in so many of each file")
    parser.add_argument("--only", default="", help="run only mutants with this in their names")
    return parser.parse_args()


def command() -> str:
    """This run's command line, from the repository's root; how it was cut into parts does not matter."""
    words = sys.argv[1:]
    if "--resume" in words:
        at = words.index("--resume")
        words = words[:at] + words[at + 2 :]
    return shlex.join(["python", "tests/mutate.py", *words])


def recall(jobs: list[Job], path: str | None) -> None:
    """Verdicts of the mutants that died in an earlier run."""
    if path is None or not Path(path).exists():
        return
    lines = (line.split() for line in Path(path).read_text("utf-8").splitlines())
    died = {digest: verdict for digest, verdict in lines if verdict in ("killed", "timeout")}
    for job in jobs:
        job.verdict = died.get(job.digest, "")


def files_of(source: Path, tests: Path) -> list[tuple[Path, Path]]:
    """The files to mutate, all of a folder and of those in it but ``__init__.py``, and the folders of their tests."""
    if source.is_file():
        return [(source, tests)]
    files = sorted(path for path in source.rglob("*.py") if path.name != "__init__.py")
    return [(path, tests / path.parent.relative_to(source)) for path in files]


def tests_of(path: Path, tests: Path) -> list[str]:
    """The test files of one source file, its own first."""
    own = [tests / name for name in (f"test_{path.stem}.py", f"test_{tests.name}_{path.stem}.py")]
    named = [str(test) for test in (*own, tests / f"test_{path.stem}_by_hand.py") if test.exists()]
    named += [str(tests / name) for name in ALSO.get(path.as_posix(), ())]
    also = [str(tests / name) for name in ALSO.get(path.parent.as_posix(), ())]
    return [*named, *also] if named else [str(tests)]


def baseline(jobs: list[Job]) -> dict[str, int] | None:
    """Processor seconds that the mutants of each file may take, from those of its tests on the source as it is."""
    limits = {}
    for path, tests in {str(job.path): job.tests for job in jobs}.items():
        _, status, used = os.wait4(fork(tests, None, 600), 0)
        if verdict(status) != "survived":
            print(f"{' '.join(tests)} fail without a mutant", file=sys.stderr)
            return None
        limits[path] = int(5 + 5 * (used.ru_utime + used.ru_stime))
    return limits


def run_all(jobs: list[Job], limits: dict[str, int], at_once: int, notes: str | None) -> None:
    """Fork the jobs, ``at_once`` of them at a time, and note their verdicts."""
    running: dict[int, Job] = {}
    waiting = list(reversed(jobs))
    while waiting or running:
        while waiting and len(running) < at_once:
            job = waiting.pop()
            running[fork(job.tests, job, limits[str(job.path)])] = job
        pid, status = os.wait()
        job = running.pop(pid)
        job.verdict = verdict(status)
        if notes:
            with Path(notes).open("a", encoding="utf-8") as file:
                file.write(f"{job.digest} {job.verdict}\n")
        done = len(jobs) - len(waiting) - len(running)
        print(f"{done}/{len(jobs)} {job.verdict} {job.path} {job.mutant.name}", file=sys.stderr, flush=True)


def verdict(status: int) -> str:
    """What the end of a child says; a mutant that hangs or crashes is noticed too."""
    if os.WIFSIGNALED(status):
        return "timeout" if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM) else "killed"
    return "survived" if os.WEXITSTATUS(status) == 0 else "killed"


def fork(tests: list[str], job: Job | None, limit: int) -> int:
    """Run ``tests`` in a child in which the module of ``job`` is its mutant; returns the child's id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.setitimer(signal.ITIMER_PROF, limit)
        signal.alarm(3600)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        code = test(tests, job)
    finally:
        os._exit(code)


def test(tests: list[str], job: Job | None) -> int:
    """pytest's exit status, with the mutant in the place of its module and hypothesis' examples fixed."""
    import pytest
    from hypothesis import Phase, settings

    sys.dont_write_bytecode = True
    if job is not None:
        sys.meta_path.insert(0, MutantFinder(job.path, job.mutant.source))
    settings.register_profile("mutants", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
    options = ["-x", "-q", "-n0", "--tb=no", "--assert=plain", "-pno:cacheprovider", "--hypothesis-profile=mutants"]
    return int(pytest.main([*options, *tests]))


class MutantFinder(importlib.machinery.PathFinder):
    """Finds the module of ``path`` as ``source``."""

    def __init__(self, path: Path, source: str) -> None:
        self.name, self.path, self.source = ".".join(path.with_suffix("").parts), path, source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> object:
        """The mutated module's spec, nothing for all others."""
        if fullname != self.name:
            return None
        loader = MutantLoader(fullname, str(self.path.resolve()))
        loader.mutant = self.source.encode()
        return importlib.util.spec_from_file_location(fullname, loader.path, loader=loader)


class MutantLoader(importlib.machinery.SourceFileLoader):
    """Compiles the mutant instead of the file."""

    mutant: bytes

    def get_code(self, fullname: str) -> object:
        """The mutant's code, never the one in a cache."""
        return self.source_to_code(self.mutant, self.path)


def explain(jobs: list[Job]) -> None:
    """Survivors that are equivalent to the source."""
    reasons = explanations()
    for job in jobs:
        if job.verdict == "survived" and reason_of(job, reasons):
            job.verdict = "explained"


def explanations() -> dict[str, dict[str, str]]:
    """Reasons by file and name of a mutant, and those ``everywhere`` by a pattern of its change."""
    return tomllib.loads(EXPLAINED.read_text("utf-8")) if EXPLAINED.exists() else {}


def reason_of(job: Job, reasons: dict[str, dict[str, str]]) -> str | None:
    """Why a mutant is equivalent to the source, where that is known."""
    own = reasons.get(job.path.as_posix(), {}).get(job.mutant.name)
    change = job.mutant.name.split(": ", 1)[1]
    general = (why for pattern, why in reasons["everywhere"].items() if re.fullmatch(pattern, change))
    return own or next(general, None)


def table(jobs: list[Job]) -> list[str]:
    """One line a file and one for all: counts, and the share that died of all mutants, equivalent ones included."""
    lines = [f"{'file':44}{'mutants':>8}{'killed':>8}{'timeout':>8}{'equal':>8}{'alive':>8}{'died':>8}"]
    folders = sorted({job.path.parent.as_posix() for job in jobs})
    for folder in folders:
        inside = [job for job in jobs if job.path.parent.as_posix() == folder]
        for path in dict.fromkeys(job.path for job in inside):
            lines.append(row(path.as_posix(), [job for job in inside if job.path == path]))
        lines.append(row(f"{folder}, all", inside))
    return lines


def row(name: str, jobs: list[Job]) -> str:
    """Counts of some jobs."""
    n = [sum(job.verdict == kind for job in jobs) for kind in ("killed", "timeout", "explained", "survived")]
    return f"{name:44}{len(jobs):8}{n[0]:8}{n[1]:8}{n[2]:8}{n[3]:8}{(n[0] + n[1]) / len(jobs):8.1%}"


def survivors(jobs: list[Job]) -> list[str]:
    """What no test noticed, with the reasons of those that are equivalent."""
    reasons = explanations()
    alive = [f"alive: {job.path.as_posix()}: {job.mutant.name}" for job in jobs if job.verdict == "survived"]
    equal = [
        f"equal: {job.path.as_posix()}: {job.mutant.name}\n       {reason_of(job, reasons)}"
        for job in jobs
        if job.verdict == "explained"
    ]
    return alive + equal


if __name__ == "__main__":
    sys.exit(main())
