"""One folder per fit: parallel fits never share one, and a killed process holds none."""

import os
import signal
import subprocess
import sys

import pytest

from noisyflywheel.persistence import CheckpointError, fit_folder

HOLD = """
import sys
from noisyflywheel.persistence import fit_folder
with fit_folder(sys.argv[1], "f" * 32) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""

FORK = """
import os, sys, time
from noisyflywheel.persistence import fit_folder
with fit_folder(sys.argv[1], "f" * 32):
    child = os.fork()
    if child == 0:
        time.sleep(600)
    print(child, flush=True)
    sys.stdin.read()
"""


def test_different_keys_have_different_folders(tmp_path):
    with fit_folder(tmp_path, "a" * 32) as first, fit_folder(tmp_path, "b" * 32) as second:
        assert first != second
        assert first.parent == second.parent == tmp_path


def test_the_same_key_at_the_same_time_and_afterwards(tmp_path):
    with fit_folder(tmp_path, "a" * 32) as first, fit_folder(tmp_path, "a" * 32) as second:
        assert second.name == f"{first.name}-1"
    with fit_folder(tmp_path, "a" * 32) as again:
        assert again == first


def test_an_exception_frees_the_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), fit_folder(tmp_path, "a" * 32) as first:
        raise KeyboardInterrupt
    with fit_folder(tmp_path, "a" * 32) as again:
        assert again == first


def test_a_killed_process_frees_its_folder(tmp_path):
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], **pipe) as other:
        held = other.stdout.readline().strip()
        with fit_folder(tmp_path, "f" * 32) as ours:
            assert str(ours) == f"{held}-1"
        os.kill(other.pid, signal.SIGKILL)
        other.wait(timeout=30)
    with fit_folder(tmp_path, "f" * 32) as ours:
        assert str(ours) == held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_children_of_a_killed_process_do_not_hold_its_folder(tmp_path):
    """Such as workers that read rows: they live on for some seconds."""
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORK, str(tmp_path)], **pipe) as other:
        child = int(other.stdout.readline())
        try:
            os.kill(other.pid, signal.SIGKILL)
            other.wait(timeout=30)
            with fit_folder(tmp_path, "f" * 32) as ours:
                assert ours.name == "f" * 16
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(CheckpointError, match="checkpoint_dir cannot be written"),
        fit_folder(tmp_path / "file", "a" * 32),
    ):
        pass


def test_checkpoints_of_the_first_format_are_refused(tmp_path):
    (tmp_path / "abc" / "generation-00000001").mkdir(parents=True)
    with (
        pytest.raises(CheckpointError, match="generation-00000001: was written by noisyflywheel 0.1.0 in format 1"),
        fit_folder(tmp_path, "a" * 32),
    ):
        pass


def test_a_timeout_inside_is_the_callers(tmp_path):
    with pytest.raises(TimeoutError, match="mine"), fit_folder(tmp_path, "a" * 32):
        raise TimeoutError("mine")
