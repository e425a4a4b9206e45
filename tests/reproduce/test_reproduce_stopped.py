"""Runs that were stopped at any moment, records that are there already, and what a record holds."""

import argparse
from dataclasses import replace

import numpy as np
import pytest

from noisyflywheel.cli import reproduce as command_line
from noisyflywheel.loop.watch.checkpoints import FitCheckpoints
from noisyflywheel.reproduce import Benchmark, CycleMeasures, Plan, read_results, reproduce, write_tables
from noisyflywheel.reproduce import run as running
from noisyflywheel.reproduce.record import plain, read_json, write_json

SMALL = {"main_net__module__width": 4, "main_net__module__n_stages": 1}


@pytest.fixture
def benchmark():
    """60 pictures of noise in three classes, some labels wrong."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), np.arange(60) % 3
    given = np.where(np.arange(60) < 9, (y + 1) % 3, y)
    return Benchmark(X, given, y, X[:20], y[:20], ("a", "b", "c"))


def plan_of(**changes):
    return Plan(**{"dataset": "cifar10", "noise": "sym", "rate": 0.5, "net": "small", "epochs": 3} | changes)


def run(plan, benchmark, out, tsne_rows=0, say=len):
    return reproduce(plan, benchmark, out, device="cpu", tsne_rows=tsne_rows, say=say)


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


def without_seconds(record):
    rows = [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in record["cycles"]]
    return rows, record["parameters"], record["environment"], record["result"]["last_test_accuracy"]


@pytest.mark.parametrize("moment", ["before the end", "while it draws", "with a lost file", "with a broken file"])
def test_a_run_without_cycles_left_gets_its_whole_record(benchmark, tmp_path, monkeypatch, moment):
    plan = plan_of(changes=SMALL)
    path = tmp_path / f"{plan.name()}.json"
    whole = run(plan, benchmark, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        owner, name = (running, "draw_figures") if moment == "while it draws" else (running.Recorder, "finish")
        patch.setattr(owner, name, interrupted)
        run(plan, benchmark, tmp_path)
    stopped = read_json(path)
    assert stopped["status"] == "running"
    if moment == "with a lost file":
        path.unlink()
    if moment == "with a broken file":
        kept = {k: v for k, v in stopped.items() if k not in ("result", "environment", "parameters")}
        write_json(path, kept | {"status": "done", "cycles": []})
    run(plan, benchmark, tmp_path)
    record = read_json(path)
    assert record["status"] == "done"
    assert without_seconds(record) == without_seconds(plain(whole))
    assert record["seconds"] >= sum(row["cycle_seconds"] for row in record["cycles"])
    assert len(list(tmp_path.glob("*.png"))) == 2
    assert "| cifar10 sym-50 % |" in write_tables(read_results(tmp_path)[0])


def test_a_file_lost_among_the_cycles(benchmark, tmp_path, monkeypatch):
    def stop_in_cycle_2(text):
        if text.startswith("cycle   2"):
            raise KeyboardInterrupt

    monkeypatch.setattr(FitCheckpoints, "due", lambda self, seconds=0.0: self.folder is not None)
    plan, said = plan_of(epochs=4, warmup=1, changes=SMALL), []
    with pytest.raises(KeyboardInterrupt):
        run(plan, benchmark, tmp_path, say=stop_in_cycle_2)
    (tmp_path / f"{plan.name()}.json").unlink()
    record = run(plan, benchmark, tmp_path, say=said.append)
    assert said[0].startswith("cycle   2")
    assert [row["cycle"] for row in record["cycles"]] == [1, 2, 3]
    assert record["result"]["cycles"] == 3


def test_other_test_rows_are_measured(benchmark, tmp_path):
    """The fit is the same one, and done."""
    few, most = plan_of(n_test=2, changes=SMALL), plan_of(changes=SMALL)
    run(few, replace(benchmark, X_test=benchmark.X_test[:2], y_test=benchmark.y_test[:2]), tmp_path / "one")
    after, fresh = (run(most, benchmark, tmp_path / name) for name in ("one", "two"))
    assert without_seconds(plain(after)) == without_seconds(plain(fresh))
    assert after["data"]["n_test"] == 20


def test_settings_are_stored_as_they_are(benchmark, tmp_path):
    plan = plan_of(rate=1 / 3, changes=SMALL | {"main_net__optimizer__weight_decay": 1e-7, "sides": (1, float("nan"))})
    write_json(tmp_path / "a.json", {"format": "noisyflywheel-reproduce-1", "setup": plan.setup()})
    assert read_json(tmp_path / "a.json")["setup"] == plan.setup()
    assert plan.setup()["changes"]["main_net__optimizer__weight_decay"] == 1e-7
    said = []
    for _ in range(2):
        run(plan_of(rate=1 / 3, changes=SMALL), benchmark, tmp_path / "out", say=said.append)
    assert "done already" in said[-1]


def test_label_files_and_members_have_records_of_their_own(benchmark, tmp_path):
    one, two = (plan_of(noise="clean", rate=None, labels=f"given.npz:{member}", changes=SMALL) for member in "ab")
    assert one.name() != two.name()
    assert one.name().startswith("cifar10-clean-labels-given-a-")
    assert "labels-given-small" in plan_of(labels="given.npy:").name()
    first = run(one, benchmark, tmp_path)
    other = plan_of(noise="clean", rate=None, labels="given.pt:a", changes=SMALL)
    with pytest.raises(ValueError, match="holds a run with other labels"):
        run(other, benchmark, tmp_path)
    assert read_json(tmp_path / f"{one.name()}.json")["setup"] == first["setup"]


def test_a_true_class_that_no_row_is_given(benchmark, tmp_path):
    y = benchmark.y_true
    given = np.where(y == 2, 0, y)
    assert CycleMeasures(given, y, benchmark.X_test, benchmark.y_test).true_corruption() is None
    given[0] = 1
    truth = CycleMeasures(given, y, benchmark.X_test, benchmark.y_test).true_corruption()
    np.testing.assert_array_equal(truth, [[0, 1], [0.5, 0.5]])
    two = Benchmark(benchmark.X, given, y, benchmark.X_test, benchmark.y_test, benchmark.class_names)
    row = run(plan_of(changes=SMALL), two, tmp_path)["cycles"][-1]
    assert {"selection_auroc", "quality_auroc", "corruption_error"} <= set(row)


def test_the_recorded_command_keeps_zeros():
    parser = argparse.ArgumentParser()
    command_line.add_parser(parser.add_subparsers(dest="command"))
    zeros = ["--noise", "sym", "--rate", "0", "--seed", "0", "--epochs", "3", "--warmup", "0"]
    words = ["reproduce", "cifar10", "--data", "DIR", "--out", "DIR", *zeros]
    assert command_line.command(parser.parse_args(words)) == (
        "noisyflywheel reproduce cifar10 --data DIR --out DIR --noise sym --rate 0.0 --seed 0 --epochs 3 --warmup 0"
        " --device auto"
    )
