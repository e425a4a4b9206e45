"""Jobs of the GPU command at the tiny scale, on a device that is not the CPU."""

import os
import sys
import time
from pathlib import Path

import pytest
import torch

from noisyflywheel.data import ArraySource

pytestmark = pytest.mark.usefixtures("quick_folds", "stand_in")

FOLDER = Path(__file__).parents[2] / "examples" / "gpu"


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """What runs a job, by its name."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    from context import Context, share_code

    share_code()
    import plan

    context = Context(torch.device("cuda"), "tiny", tmp_path)
    return {job.name: lambda work=job.work: work(context=context) for job in plan.jobs(context)}


JOBS = ["inference", "views", "accuracy sym50 paper", "accuracy sym50 plain"]
SLOW = ["digits", "accuracy sym50 fast", "accuracy sym50 ours"]


@pytest.mark.parametrize("name", [*JOBS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_job_runs(jobs, name):
    assert all(value is not None for value in jobs[name]().values())


class Event:
    """Of a CUDA stream."""

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = time.perf_counter()

    def elapsed_time(self, end):
        return 1e3 * (end.at - self.at)


@pytest.mark.parametrize("variant", ["eager", pytest.param("usual memory order", marks=pytest.mark.slow)])
def test_a_cycle_is_timed(jobs, variant, monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 2**30)
    monkeypatch.setattr("cycle.peak", lambda context: 1e12)
    found = jobs[f"cycle {variant}"]()
    assert found["peak_memory_gib"] == 1 and 0 < found["cycle"]["views"] < found["cycle"]["cycle"]
    assert "failed" not in found


def test_pictures_in_host_memory_are_gathered_as_a_fit_does(jobs, monkeypatch):
    take, resident = ArraySource.take, []
    monkeypatch.setattr(ArraySource, "take", lambda self, rows: resident.append(self.is_resident) or take(self, rows))
    assert jobs["resident"]()["pinned host memory"] > 0
    assert set(resident) == {True, False}
