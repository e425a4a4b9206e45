import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import noisyflywheel
from noisyflywheel.cli import COMMANDS, main


def test_wrong_arguments_and_help(run):
    assert run("audit")[0] == 2
    assert run("nothing")[0] == 2
    code, out, _ = run("audit", "--help")
    assert code == 0
    assert "examples:" in out
    assert "exit codes:" in out
    assert run("--version")[1].startswith("noisyflywheel ")


@pytest.mark.parametrize("command", [module.__name__.split(".")[-1] for module in COMMANDS])
def test_every_command_has_a_help_that_fits_a_terminal(command, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(command, "--help")
    assert code == 0
    described = out.split("\n\n")[1]
    assert len(described) > 40 and max(map(len, described.splitlines())) <= 80


def test_interruption(run, tmp_path, monkeypatch):
    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("noisyflywheel.cli.audit.run", stop)
    monkeypatch.setattr("noisyflywheel.cli.demo.run", stop)
    code, _, err = run("demo")
    assert code == 130
    assert err == "noisyflywheel demo: interrupted\n"


def test_a_traceback_on_demand(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        main(["--traceback", "audit", str(tmp_path / "no"), "--out", "o"])


def test_demo(run, tmp_path, monkeypatch):
    monkeypatch.setattr("noisyflywheel.cli.demo.PLAIN_EPOCHS", 3)
    code, out, err = run("demo", "--cycles", 2, "--out", tmp_path)
    assert code == 0, err
    assert "plain training" in out
    assert "the flywheel" in out
    with Image.open(tmp_path / "worst_labels.png") as picture:
        assert picture.size[0] > 400


def test_the_demo_needs_a_folder_before_it_trains(run, tmp_path):
    (tmp_path / "here").write_text("")
    code, out, err = run("demo", "--out", tmp_path / "here")
    assert (code, out) == (2, "")
    assert err == f"noisyflywheel demo: error: {tmp_path / 'here'}: File exists\n"


@pytest.mark.parametrize("option", ["--cycles=0", "--seed=-1"])
def test_the_demo_refuses_numbers_before_it_trains(option, run, tmp_path):
    code, out, err = run("demo", option, "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    assert err.startswith(f"noisyflywheel demo: error: {option.split('=')[0]} must ")
    assert not (tmp_path / "o").exists()


def test_as_a_program(tmp_path):
    root = str(Path(noisyflywheel.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "noisyflywheel", "audit", "no.csv", "--out", "o"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert done.returncode == 2
    assert done.stderr == "noisyflywheel audit: error: no.csv does not exist\n"


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # the latter in the C locale
def test_output_that_has_no_such_letter(errors, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", errors))
    assert main(["audit", "--help"]) == 0
    sys.stdout.flush()
    assert rb"--features A,B,\u2026" in written.getvalue()


def test_errors_name_no_python(run, tmp_path):
    assert run("tables", tmp_path / "no")[2] == f"noisyflywheel tables: error: {tmp_path / 'no'} is no folder\n"
    assert "--port must lie" in run("review", tmp_path, "--port", "99999")[2]
