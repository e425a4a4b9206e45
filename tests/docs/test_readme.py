"""Figures in the README are those of the files they name, and its pictures are there."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = {
    "digits, 20 % drawn anew": "digits:sym0.2",
    "digits, 50 %": "digits:sym0.5",
    "digits, 80 %": "digits:sym0.8",
    "digits, 40 % to one other class": "digits:asym0.4",
    "agnews, human labels": "agnews",
    "labelme, majority of annotators": "labelme:majority",
    "labelme, one annotator": "labelme:single",
    "banking77, 50 % drawn anew": "banking:sym0.5",
}


@pytest.fixture(scope="module")
def rows():
    file = ROOT / "examples" / "benchmarks" / "results" / "cleanlab.json"
    return json.loads(file.read_text(encoding="utf-8"))["rows"]


def figures(name):
    """The eight numbers of a line of the table."""
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip(" *") for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize("name", NAMES)
def test_table_beside_cleanlab_is_that_of_the_benchmark(rows, name):
    here = [row for row in rows if row["data"] == NAMES[name]]
    (ours,) = [row for row in here if row["who"] == "flywheel"]
    theirs = [row for row in here if row["who"] == "cleanlab"]
    counts = [row["suspects"] / row["truly_wrong"] for row in theirs]
    expected = [
        f"{ours['auroc']:.3f}",
        f"{max(row['auroc'] for row in theirs):.3f}",
        f"{ours['test_accuracy']:.3f}",
        f"{max(row['test_accuracy'] for row in theirs):.3f}",
        f"{ours['suspects'] / ours['truly_wrong']:.2f}",
        f"{min(counts, key=lambda count: abs(count - 1)):.2f}",
        f"{ours['seconds']:.1f}",
        f"{min(row['seconds'] for row in theirs):.1f}",
    ]
    assert figures(name) == expected


def test_every_data_set_of_the_benchmark_is_in_the_table(rows):
    assert {row["data"] for row in rows} == set(NAMES.values())


def test_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 2
    assert all((ROOT / path).stat().st_size < 100_000 for path in pictures)
