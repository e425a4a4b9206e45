"""Every example runs as it stands, from an empty folder, and says what it did."""

import runpy
from pathlib import Path

import matplotlib
import pytest

pytestmark = pytest.mark.usefixtures("short_fits")

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
SAVES = {"images": "worst.png", "audit_report": "report.html"}
"""Examples that save a file if they are given its name."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path, tmp_path, monkeypatch, capsys):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names = [SAVES[path.stem]] if path.stem in SAVES else []
    monkeypatch.setattr("sys.argv", [str(path), *names])
    runpy.run_path(str(path), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) >= 3
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_examples_are_there():
    assert {"table", "text", "images", "grid_search", "audit_report"} <= {p.stem for p in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_says_what_it_shows_and_how_to_run_it(path):
    docstring = path.read_text(encoding="utf-8").split('"""')[1]
    assert f"python examples/{path.name}" in docstring and len(docstring.splitlines()[0]) > 40
