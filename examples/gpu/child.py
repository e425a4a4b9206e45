"""Jobs in a process of their own: begun, cut off with all that they started, ended with the command."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from plan import Job

COMMAND = Path(__file__).with_name("run.py")

PATIENCE, LEAST_PATIENCE = 3.0, 2.0
"""A job is cut off when it has taken so many times its estimated minutes, and so many minutes at least: one that hangs
leaves others their time."""


class Child:
    """Jobs in a process of their own, one after the other, its output kept until it ends."""

    def __init__(self, group: list[Job], args: argparse.Namespace) -> None:
        self.group, self.job, self.start = group, group[0], time.monotonic()
        self.name = ", ".join(job.name for job in group)
        minutes = sum(job.minutes for job in group)
        self.limit = None if self.job.resumes else 60 * max(LEAST_PATIENCE, PATIENCE * minutes)
        self.said: IO[str] = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  # until the child has ended
        command = [sys.executable, str(COMMAND), "--job", *(job.name for job in group), "--out", str(args.out)]
        command += ["--device", args.device, "--scale", args.scale, "--together", str(args.together)]
        command += ["--fit-minutes", str(args.fit_minutes)]
        command += ["--data", str(args.data)] if args.data else []
        self.process = subprocess.Popen(command, stdout=self.said, stderr=self.said, start_new_session=True)

    def ended(self) -> bool:
        """Whether it is over; says so once."""
        code = self.process.poll()
        if code is None:
            return False
        print(f"{self.name}: {'done' if code == 0 else 'FAILED'}, {time.monotonic() - self.start:.0f} s", flush=True)
        if code != 0:
            self.said.seek(0)
            said = self.said.read()
            lost = [text for text in said.splitlines() if text.startswith('{"job": ')]  # could not be written to a file
            print(*lost, said[-3000:], sep="\n", file=sys.stderr, flush=True)
        return True

    def overdue(self) -> bool:
        """Whether it has taken far longer than it should."""
        return self.limit is not None and time.monotonic() - self.start > self.limit

    def stop(self) -> None:
        """Cut it off with all that it started."""
        print(f"{self.name}: cut off after {time.monotonic() - self.start:.0f} s", flush=True)
        for kind, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if self.process.poll() is None:
                signal_group(self.process.pid, kind)
                with_patience(self.process, patience)


def signal_group(pid: int, kind: signal.Signals) -> None:
    """Signal a process group that this process started."""
    try:
        os.killpg(pid, kind)
    except ProcessLookupError:
        return


def with_patience(process: subprocess.Popen, seconds: float) -> None:
    """Wait a while for a process to end."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def end_with(parent: int) -> None:
    """End this process, with all that it started, when its parent has ended: nothing goes on that nobody waits for."""
    while os.getppid() == parent:
        time.sleep(1)
    if os.getpgrp() == os.getpid():
        signal_group(os.getpid(), signal.SIGKILL)
    os._exit(1)
