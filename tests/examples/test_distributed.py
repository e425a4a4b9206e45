"""The example of a shared fit says as much, started by python and by torchrun."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "distributed" / "train.py"


def said(*launch):
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, *launch, str(SCRIPT), "--cycles", "2"]
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_script_says_as_much_on_two_processes():
    alone = said()
    shared = said("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert alone[0] == "1 process(es), 898 rows, 2 cycles" and shared[0] == "2 process(es), 898 rows, 2 cycles"
    assert len(alone) == len(shared) == 3
    for one, two in zip(alone[1:], shared[1:], strict=True):  # rounding turns labels that are nearly even
        assert abs(percent(one) - percent(two)) < 3 and one.split("%")[1] == two.split("%")[1]


def percent(line):
    return float(line.split("%")[0])


def test_the_script_runs_alone(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [str(SCRIPT), "--cycles", "1"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "% of the test rows right" in capsys.readouterr().out
