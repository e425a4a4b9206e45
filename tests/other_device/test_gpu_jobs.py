"""Jobs of the GPU command at the tiny scale, on a device that is not the CPU."""

import os
import sys
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


@pytest.mark.parametrize("name", ["inference", "views", "accuracy sym50 paper", "accuracy sym50 plain"])
def test_a_job_runs(jobs, name):
    assert all(value is not None for value in jobs[name]().values())


def test_pictures_in_host_memory_are_gathered_as_a_fit_does(jobs, monkeypatch):
    take, resident = ArraySource.take, []
    monkeypatch.setattr(ArraySource, "take", lambda self, rows: resident.append(self.is_resident) or take(self, rows))
    assert jobs["resident"]()["pinned host memory"] > 0
    assert set(resident) == {True, False}
