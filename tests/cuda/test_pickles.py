"""What was fitted on the device is read where there is no CUDA: pickled, and saved by the estimator."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made import make_rows

from noisyflywheel import FlywheelClassifier

READ = """
import pickle, sys
import numpy as np
import torch
from noisyflywheel import FlywheelClassifier
assert not torch.cuda.is_available()
kind, path, rows, out = sys.argv[1:]
if kind == "pickle":
    with open(path, "rb") as file:
        clf = pickle.load(file)
else:
    clf = FlywheelClassifier.load(path)
np.save(out, clf.predict_proba(np.load(rows)))
"""


@pytest.mark.parametrize("kind", ["pickle", "save"])
def test_read_without_cuda(device, kind, tmp_path):
    X, given, _ = make_rows(300)
    clf = FlywheelClassifier(n_warmup_epochs=2, n_cycles=1, device=str(device), random_state=0).fit(X, given)
    path, rows, out = tmp_path / "fitted", tmp_path / "rows.npy", tmp_path / "proba.npy"
    np.save(rows, X)
    if kind == "pickle":
        path.write_bytes(pickle.dumps(clf))
    else:
        clf.save(path)
    root = Path(__file__).parents[2]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, kind, str(path), str(rows), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(out), clf.predict_proba(X), atol=1e-4)
