"""Type hints from a user's side: mypy takes them from the package (`py.typed`) and finds mistakes with them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import noisyflywheel

HERE = Path(__file__).parent


@pytest.mark.slow
def test_mypy_sees_the_hints_and_only_the_two_mistakes(tmp_path):
    code = (HERE / "typed.py").read_text(encoding="utf-8")
    (tmp_path / "typed.py").write_text(code, encoding="utf-8")
    root = Path(noisyflywheel.__file__).parents[1]
    (tmp_path / "mypy.ini").write_text("[mypy]\ncheck_untyped_defs = True\nfollow_imports = silent\n")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache", "typed.py"]
    environment = {"PYTHONPATH": str(root), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    errors = re.findall(r"^typed\.py:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    lines = code.splitlines()
    wanted = [i + 1 for i, line in enumerate(lines) if "must be found" in line]
    assert [int(line) for line, _ in errors] == wanted, done.stdout + done.stderr
    assert "n_cylces" in errors[0][1] and "str" in errors[1][1]
