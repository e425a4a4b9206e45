"""What was fitted on the device is read where there is no CUDA: pickled, and saved by the estimator."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
from made import make_rows, rarely_on_the_cpu

from noisyflywheel import FlywheelClassifier

READ = """
import pickle, sys
import numpy as np
import torch
from noisyflywheel import FlywheelClassifier
assert not torch.cuda.is_available()
folder = sys.argv[1]
with open(f"{folder}/pickled", "rb") as file:
    pickled = pickle.load(file)
rows = np.load(f"{folder}/rows.npy")
np.savez(
    f"{folder}/proba.npz",
    pickled=pickled.predict_proba(rows),
    saved=FlywheelClassifier.load(f"{folder}/saved").predict_proba(rows),
)
"""


@rarely_on_the_cpu
def test_read_without_cuda(device, tmp_path):
    X, given, _ = make_rows(300)
    clf = FlywheelClassifier(n_warmup_epochs=2, n_cycles=1, device=str(device), random_state=0).fit(X, given)
    np.save(tmp_path / "rows.npy", X)
    (tmp_path / "pickled").write_bytes(pickle.dumps(clf))
    clf.save(tmp_path / "saved")
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "proba.npz") as found:
        for kind in ("pickled", "saved"):
            np.testing.assert_allclose(found[kind], clf.predict_proba(X), atol=1e-4, err_msg=kind)
