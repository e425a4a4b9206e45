"""Everything that needs a GPU, as one command that can be called again until it is done.

    python examples/gpu/run.py --out DIR --minutes 9 --data cifar10n.npz
    python examples/gpu/run.py --out DIR --dry
    python examples/gpu/run.py --out DIR --device cpu --scale tiny --minutes 5

The jobs run in order of value, each in a process of its own that adds one line to a JSON-lines file in DIR as soon as
it is done. Called again with the same DIR, the command goes on with the jobs that have no line there, or were skipped
for want of what is there now; one that was cut off starts again, and a fit on pictures from its last checkpoint. A job
is begun only if its estimated minutes are left, and cut off for good when it takes several times as long, but for fits
on pictures.
The package is the one of this checkout. Tables: ``python examples/gpu/make_readme.py``.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from context import ROOT, Context, append_line, share_code

share_code()

import torch  # noqa: E402
from child import PATIENCE, Child, end_with  # noqa: E402
from plan import PARTS, Job, jobs  # noqa: E402

PAUSE = 0.2
MOST_SAID = 8000
"""Letters of an error that are kept: those of compilers are long."""

SAID = 0.2
"""Minutes that it takes to say why jobs are skipped."""

LEAST = 1.0
"""Minutes that a fit which goes on from checkpoints is worth beginning for."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results and of checkpoints")
    parser.add_argument("--minutes", type=float, default=9.0, help="when to stop")
    parser.add_argument("--data", type=Path, help="cifar10n.npz, for the accuracy part")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=("full", "tiny"), default="full", help="tiny only shows that it runs")
    parser.add_argument("--together", type=int, default=3, help="accuracy runs side by side on the device")
    parser.add_argument("--fit-minutes", type=float, default=6.5, help="of one accuracy run, which sets its cycles")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these parts or jobs only")
    parser.add_argument("--again", nargs="+", metavar="NAME", default=[], help="repeat these parts or jobs")
    parser.add_argument("--dry", action="store_true", help="list the jobs with estimated minutes, run nothing")
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def context_of(args: argparse.Namespace) -> Context:
    """What every part knows; an error where there is no such device or file."""
    if args.device == "cuda" and not args.dry and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here: --device cpu --scale tiny runs every part on the CPU")
    if args.data is not None and not args.data.is_file():
        raise SystemExit(f"no file {args.data}")
    return Context(torch.device(args.device), args.scale, args.out, args.data, args.together, args.fit_minutes)


def wanted(context: Context, args: argparse.Namespace) -> list[Job]:
    """The jobs that are asked for and not done yet, in order."""
    lines = {line["job"]: line for line in context.lines()}
    found = []
    for job in jobs(context):
        names = {job.part, job.name}
        still_open = not is_done(job, lines, context) or names & set(args.again)
        if still_open and (args.only is None or names & set(args.only)):
            found.append(job)
    return found


def is_done(job: Job, lines: dict[str, dict], context: Context) -> bool:
    """Whether the job has a line; one that says why it was skipped counts while there still is a reason."""
    line = lines.get(job.name)
    return line is not None and ("skipped" not in line or job.obstacle(context) is not None)


def perform(context: Context, name: str) -> bool:
    """Run one job here and write its line; returns whether it went well."""
    job = next(job for job in jobs(context) if job.name == name)
    start = time.perf_counter()
    try:
        why = job.obstacle(context)
        found = {"skipped": why} if why else job.work(context=context)
    except Exception:
        traceback.print_exc()
        said = traceback.format_exc().replace(str(ROOT), ".").replace(str(context.out), "DIR")
        found = {"error": said[-MOST_SAID:]}
    outcome = found if list(found) in (["skipped"], ["error"]) else {"result": found}
    try:
        append_line(context, job.part, name, outcome, time.perf_counter() - start)
    except OSError:
        traceback.print_exc()
        return False
    return "error" not in outcome and not found.get("failed")


def drive(context: Context, args: argparse.Namespace) -> bool:
    """Run jobs until all are done or the time is over; returns whether none failed here."""
    deadline = time.monotonic() + 60 * args.minutes
    pending, running, failed = last_what_is_skipped(wanted(context, args), context), [], False
    try:
        while pending or running:
            for child in [child for child in running if child.ended()]:
                running.remove(child)
                failed |= child.process.returncode != 0
            for child in [child for child in running if child.overdue()]:
                running.remove(child)
                child.stop()
                record_overdue(context, child)
                failed = True
            left = (deadline - time.monotonic()) / 60
            if left <= 0:
                break
            job = next_job(pending, [child.job for child in running], left, args.together)
            if job is not None:
                group = together_with(job, pending, context)
                pending = [other for other in pending if other not in group]
                running.append(Child(group, args))
            elif not running:
                break
            else:
                time.sleep(PAUSE)
    finally:
        for child in running:
            child.stop()
    return not failed


def last_what_is_skipped(pending: list[Job], context: Context) -> list[Job]:
    """Jobs in order, those last that only have to say why they are skipped, which takes no time."""
    blocked = [replace(job, minutes=SAID, alone=False) for job in pending if job.obstacle(context)]
    return [job for job in pending if not job.obstacle(context)] + blocked


def together_with(job: Job, pending: list[Job], context: Context) -> list[Job]:
    """The jobs that run in one process: one, but all that are skipped, and those of a part at the tiny scale."""
    if job.obstacle(context):
        return [other for other in pending if other.obstacle(context)]
    return [other for other in pending if other.part == job.part] if context.tiny else [job]


def record_overdue(context: Context, child: Child) -> None:
    """Write the line of the job in a child that was cut off for good, the first of its jobs without a line."""
    known = {line["job"] for line in context.lines()}
    job = next((job for job in child.group if job.name not in known or len(child.group) == 1), None)
    if job is not None:
        seconds = time.monotonic() - child.start
        why = f"TimeoutError: cut off after {seconds:.0f} s, {PATIENCE:g} times what it should take"
        with suppress(OSError):
            append_line(context, job.part, job.name, {"error": why}, seconds)


def next_job(pending: list[Job], running: list[Job], left: float, together: int) -> Job | None:
    """The first job that fits the minutes left and may run beside those that run."""
    if any(job.alone for job in running) or len(running) >= together:
        return None
    for job in pending:
        if min(job.minutes, LEAST if job.resumes else job.minutes) <= left:
            return job if not (job.alone and running) else None
    return None


def dry(context: Context, args: argparse.Namespace) -> None:
    """The jobs that are left, part by part."""
    left = wanted(context, args)
    for part, what in PARTS.items():
        mine = [job for job in left if job.part == part]
        print(f"{part}: {what}, {sum(job.minutes for job in mine):.1f} min")
        for job in mine:
            print(f"    {job.minutes:4.1f} min  {job.name}{'' if job.alone else ', beside others'}")
    print(f"in all {sum(job.minutes for job in left):.0f} min one after the other")


def check_folder(out: Path) -> None:
    """An error before anything is run where results could not be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out, buffering=0) as file:
            file.write(b"x" * 10_000)
    except OSError as error:
        raise SystemExit(f"nothing can be written to {out}: {error.strerror}") from error


def main(arguments: list[str] | None = None) -> int:
    """Plan, run one job, or drive them all."""
    args = parse(arguments)
    context = context_of(args)
    if args.dry:
        dry(context, args)
        return 0
    if args.job:
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
        return min(1, sum(not perform(context, name) for name in args.job))
    check_folder(args.out)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the jobs that run are then ended too
    fine = drive(context, args)
    rest = [job.name for job in wanted(context, argparse.Namespace(**vars(args) | {"again": []}))]
    print(f"{len(rest)} of {len(jobs(context))} jobs left" + (f": {', '.join(rest)}" if rest else ""))
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
