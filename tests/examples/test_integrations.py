"""Examples with other tools run where these are installed, each in a process of its own: they leave threads behind."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "examples" / "integrations"


def needs(*packages):
    missing = [package for package in packages if find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def run(name, folder, *arguments):
    """What an example prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(FOLDER.parents[1])}
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@needs("onnx", "onnxruntime", "onnxscript")
def test_onnx_predicts_the_same(tmp_path):
    differences = re.findall(r"difference ([\d.e+-]+)", run("onnx_export", tmp_path))
    assert len(differences) == 2
    assert all(float(difference) < 1e-5 for difference in differences)


@needs("mlflow")
def test_mlflow_has_losses_and_gamma(tmp_path):
    (tmp_path / "runs").mkdir()
    printed = run("mlflow_log", tmp_path, "runs")
    assert "train_loss: 7 values" in printed  # an epoch of f is one in the warm-up and one in each cycle
    assert "gamma: 4 values" in printed
    assert "issues.csv" in printed


@needs("wandb")
def test_wandb_has_losses_and_gamma(tmp_path):
    printed = run("wandb_log", tmp_path, "runs")
    assert re.search(r"gamma 0\.\d+, loss of f \d", printed)
    assert "files: 1" in printed
