"""Every notebook runs from top to bottom, from an empty folder, and keeps no output in its file.

`.ci/run` runs them when it builds the site, which an error in a cell ends; here that takes `-m slow`.
"""

import json
import runpy
import shutil
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path, kind):
    """Sources of the cells of one kind."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for number, code in enumerate(cells(path, "code"), 1):
        exec(compile(code, f"{path.name}, code cell {number}", "exec"), namespace)
    plt.close("all")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_says_what_it_shows_and_keeps_no_output(path):
    assert cells(path, "markdown")[0].startswith("# ")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook["cells"])


def test_notebooks_are_there_and_run_when_the_site_is_built(tmp_path):
    assert {"table", "text", "pictures", "review", "own_nets"} == {p.stem for p in NOTEBOOKS}
    settings = shutil.copy(FOLDER.parents[1] / "docs" / "conf.py", tmp_path)  # where it copies no notebooks
    site = runpy.run_path(settings)
    assert site["nb_execution_mode"] == "force"
    assert site["nb_execution_raise_on_error"]
