"""Ranks that are threads of this process: the arithmetic of what is shared, without processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from noisyflywheel.nets.parallel import Ranks


class ThreadRanks(Ranks):
    """One of several ranks that exchange through a list."""

    def __init__(self, rank, size, meeting, values):
        super().__init__()
        self.rank, self.size, self.meeting, self.values = rank, size, meeting, values

    def exchanged(self, value):
        self.values[self.rank] = value
        self.meeting.wait()
        found = list(self.values)
        self.meeting.wait()
        return found

    def all_rows(self, rows, sizes):
        return torch.cat([part[:n] for part, n in zip(self.exchanged(rows.clone()), sizes, strict=True)])

    def sum_(self, values):
        return values.copy_(sum(self.exchanged(values.clone())))

    def everyones(self, value, what=""):
        return self.exchanged(value)


def on_ranks(size, task):
    """What ``task(ranks)`` returns on each of ``size`` ranks."""
    meeting, values = threading.Barrier(size, timeout=20), [None] * size

    def run(rank):
        try:
            return task(ThreadRanks(rank, size, meeting, values))
        except BaseException:
            meeting.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        tasks = [pool.submit(run, rank) for rank in range(size)]
        errors = [error for error in (task.exception() for task in tasks) if error is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
            raise error
        return [task.result() for task in tasks]
