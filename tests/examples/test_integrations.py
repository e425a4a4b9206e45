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
    return run_python(folder, str(FOLDER / f"{name}.py"), *arguments)


def run_python(folder, *arguments):
    """What Python prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(FOLDER.parents[1])}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@needs("onnx", "onnxruntime", "onnxscript")
def test_onnx_predicts_the_same(tmp_path):
    differences = re.findall(r"difference ([\d.e+-]+)", run("onnx_export", tmp_path))
    assert len(differences) == 2
    assert all(float(difference) < 1e-5 for difference in differences)


REFUSED = """
import sys
import numpy as np, pandas as pd
from scipy.sparse import random as sparse
from noisyflywheel import FlywheelClassifier
sys.path.insert(0, sys.argv[1])
from onnx_export import to_onnx

rng = np.random.default_rng(0)
X, y = rng.normal(size=(60, 3)), np.arange(60) % 2
kinds = pd.DataFrame(X, columns=list("abc")).assign(kind=pd.Categorical(list("xy") * 30))
pairs = ((X + 1.7e9, {}), (kinds, {}), (sparse(60, 600, 0.1, "csr", random_state=0), {}), (X, {"refurbish": False}))
for rows, options in pairs:
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0, **options).fit(rows, y)
    try:
        to_onnx(clf, "f.onnx", rows.shape[1])
    except ValueError as error:
        print(error)
"""


@needs("onnx", "onnxruntime", "onnxscript")
def test_onnx_refuses_what_is_done_to_rows_before_the_net(tmp_path):
    printed = run_python(tmp_path, "-c", REFUSED, str(FOLDER))
    assert re.findall(r"input_offset_|encoder_|input_projection_|refurbish=False", printed) == [
        "input_offset_",
        "encoder_",
        "input_projection_",
        "refurbish=False",
    ]
    assert not list(tmp_path.iterdir())


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
