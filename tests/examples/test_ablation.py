"""The benchmark that leaves parts of the form with folds out."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("ablation")


def test_what_is_lost_by_hand(ablation):
    def line(table, noise, part, test, log_loss, auroc):
        row = {"table": table, "noise": noise, "seed": 0, "part": part, "test": test, "log_loss": log_loss}
        return row | {"auroc": auroc, "calibration": 0.1, "seconds": 2.0}

    rows = [
        line("a", "clean", "defaults", 0.9, 0.3, np.nan),
        line("a", "asym30", "defaults", 0.8, 0.5, 0.7),
        line("b", "sym30", "defaults", 0.6, 0.9, 0.9),
        line("a", "clean", "forests", 0.8, 0.4, np.nan),
        line("a", "asym30", "forests", 0.7, 0.4, 0.5),
        line("b", "sym30", "forests", 0.7, 1.2, 0.9),
    ]
    base, lost = ablation.against_defaults(rows)
    assert len(base) == 3 and lost["part"].tolist() == ["forests"] and lost["fits"].tolist() == [3]
    assert lost["test"][0] == pytest.approx(0.1 / 3)
    assert lost["test s.e."][0] == pytest.approx(np.std([0.1, 0.1, -0.1], ddof=1) / 3**0.5)
    assert lost["log_loss"][0] == pytest.approx((0.1 - 0.1 + 0.3) / 3), "less is better"
    assert lost["auroc"][0] == pytest.approx(0.1), "of the two fits that have wrong labels"
    assert lost[["tables that lose", "that win", "on"]].values.tolist() == [[1, 1, "a"]]
    assert lost["most"][0] == pytest.approx(0.1)


def test_every_part_is_where_it_is_looked_for_and_comes_back(ablation):
    for part, changes in ablation.PARTS.items():
        before = [getattr(place, name) for place, name, _ in changes]
        with ablation.without(part):
            assert all(getattr(place, name) is value for place, name, value in changes), part
            assert all(was is not change[2] for was, change in zip(before, changes, strict=True)), part
        assert [getattr(place, name) for place, name, _ in changes] == before


def test_some_parts_on_a_small_table(ablation, tmp_path, run_here):
    out = tmp_path / "lost.jsonl"
    few = ("--tables", "wine", "--rows", "60", "--parts", "forests,confidence regularizer", "--out", out)
    said = run_here("ablation.py", *few)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["noise"], row["part"]) for row in rows] == [
        (noise, part) for noise in ("sym30", "hard20") for part in ("defaults", "forests", "confidence regularizer")
    ]
    assert rows[0]["rows"] == 60 and rows[1]["log_loss"] != rows[0]["log_loss"] != rows[2]["log_loss"]
    assert [line.split()[:2] for line in said.splitlines()[-2:]] == [["forests", "2"], ["confidence", "regularizer"]]
    assert run_here("ablation.py", *few) == said
    assert len(out.read_text().splitlines()) == 6
