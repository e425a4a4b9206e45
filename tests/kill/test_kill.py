"""SIGKILL at random moments and inside writes: the fit that goes on ends bit by bit as one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

import noisyflywheel
from noisyflywheel.persistence import load_checkpoint

pytestmark = [
    pytest.mark.kill,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

KILLS = 24
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(noisyflywheel.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
CHILD = Path(__file__).with_name("fits.py")


@pytest.fixture(scope="module")
def attempt():
    """Runs one fit in a process of its own; see ``fits.py``."""
    command = [sys.executable, "-W", "error", str(CHILD)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=ENVIRONMENT) as process:

        def attempt(**task):
            plain = {key: str(value) if isinstance(value, Path) else value for key, value in task.items()}
            process.stdin.write(json.dumps(plain) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield attempt
        process.stdin.close()


def differences(result, reference):
    """Names of arrays that are not the same to the last bit."""
    with np.load(result, allow_pickle=False) as ours, np.load(reference, allow_pickle=False) as theirs:
        assert set(ours) == set(theirs)
        return [name for name in theirs if ours[name].tobytes() != theirs[name].tobytes()]


def test_killed_fits_end_like_fits_left_alone(attempt, tmp_path):
    rng = random.Random(0)
    reference = tmp_path / "reference.npz"
    whole = attempt(directory=tmp_path / "alone", result=reference)
    assert whole["ended"]
    kills, tries, ended = 0, 0, 0
    while kills < KILLS or ended < 2:
        directory, result = tmp_path / f"fit {ended}", tmp_path / f"result {ended}.npz"
        how = {}
        if kills < KILLS:  # then let the last ones end
            how = {"seconds": rng.uniform(0.05, 0.6) * whole["seconds"]}
            if kills % 2:
                how = {"write": rng.randint(1, 30)}
        outcome = attempt(directory=directory, result=result, **how)
        tries += 1
        if outcome["ended"]:
            assert differences(result, reference) == []
            ended += 1
        else:
            kills += 1
        assert tries < 10 * KILLS
    print(f"{kills} kills, {tries} tries, {ended} fits ended, 0 differences")


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would inherit "ignored"
from noisyflywheel import FlywheelClassifier
from sklearn.datasets import load_digits
import torch
torch.set_num_threads(1)
X, y = load_digits(return_X_y=True)
told = {"on_cycle": lambda *_: print("cycle", flush=True)}
clf = FlywheelClassifier(n_warmup_epochs=4, n_cycles=9999, guard=False, checkpoint_dir=sys.argv[1], **told)
try:
    clf.fit(X[:400], y[:400])
except KeyboardInterrupt:
    print("interrupted", hasattr(clf, "classes_"), len(getattr(clf, "history_", [])), flush=True)
    raise
"""


@pytest.mark.parametrize(("number", "words"), [(signal.SIGTERM, ""), (signal.SIGINT, "interrupted True")])
def test_signals_leave_a_whole_checkpoint(tmp_path, number, words):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=ENVIRONMENT) as process:
        for _ in range(3):
            assert process.stdout.readline() == "cycle\n"
        process.send_signal(number)
        try:
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode in (-number, 1)
    assert words in output, errors
    (folder,) = tmp_path.iterdir()
    assert load_checkpoint(folder)["kind"] == "fit"


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from noisyflywheel import FlywheelClassifier
from noisyflywheel.persistence import CheckpointError
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
try:
    FlywheelClassifier(n_warmup_epochs=2, n_cycles=1, checkpoint_dir=sys.argv[1]).fit(X[:100], y[:100])
except CheckpointError as error:
    print(error)
"""


def test_file_size_limit_is_an_error_that_names_the_file(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert "state.bin: cannot be written (File too large)" in done.stdout
    (folder,) = tmp_path.iterdir()
    assert [path.name for path in folder.iterdir()] == ["lock"]
