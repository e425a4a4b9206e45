"""Plans, and the tables of made records."""

import pytest

from noisyflywheel.reproduce import Plan, read_results, write_tables
from noisyflywheel.reproduce.paper import cells
from noisyflywheel.reproduce.record import FORMAT, write_json


def record(accuracy, best=None, status="done", note="", **setup):
    plan = Plan(**({"dataset": "cifar10", "noise": "sym", "rate": 0.9} | setup))
    found = {"last_test_accuracy": accuracy, "best_test_accuracy": best or accuracy}
    found |= {"mean_last_10_test_accuracy": accuracy, "last_test_top5": 0.99}
    found |= {"median_cycle_seconds": 4.0, "median_inference_seconds": 0.1}
    return {
        "format": FORMAT,
        "status": status,
        "setup": plan.setup(),
        "environment": {"device": "one device"},
        "data": {"note": note},
        "result": found,
        "cycles": [{}],
    }


def lines(*records):
    return [line for line in write_tables(records).splitlines() if line.startswith("| ") and "paper |" not in line]


def test_mean_and_spread_over_seeds_beside_the_paper():
    shown = lines(*(record(a, 0.96, seed=i) for i, a in enumerate((0.94, 0.95, 0.93))))
    assert shown[0].startswith("| cifar10 sym-90 % | 94.4 | **94.00 ± 1.00** | 96.00 ± 0.00 | 0, 1, 2 |")
    assert "| training, s per epoch; cifar10 sym-90 % | 57.11 | **4** |" in "\n".join(shown)


def test_other_setups_are_other_rows():
    shown = write_tables([record(0.9), record(0.8, fast=True, form="package"), record(0.7, without="cr")])
    assert "paper's recipe, paper form |" in shown
    assert "fast schedule, package form |" in shown
    assert "| cifar10 sym-90 %, w/o CR | 87.5 | **70.00** |" in shown


def test_tables_with_two_figures_and_runs_that_are_in_no_table():
    shown = write_tables([record(0.8, dataset="webvision", noise="real", rate=None)])
    assert "| webvision | 80.96 | **80.00** |" in shown
    assert "| webvision, top-5 | 93.56 | **99.00** |" in shown
    tiny = write_tables([record(0.6, 0.63, dataset="tiny-imagenet", rate=0.2)])
    assert "best epoch | 60.3 | **63.00** |" in tiny
    human = write_tables([record(0.9, noise="worse", rate=None, note="JPEG copies: lower")])
    assert "### Not in the paper" in human
    assert "paper form, JPEG copies |" in human


def test_unfinished_and_foreign_files_are_named(tmp_path):
    write_json(tmp_path / "a" / "done.json", record(0.9))
    write_json(tmp_path / "half.json", record(0.9, status="running"))
    (tmp_path / "other.json").write_text("[]")
    records, left_out = read_results(tmp_path)
    assert len(records) == 1
    assert ["half.json" in left_out[0], "other.json" in left_out[1]] == [True, True]


def test_plans_name_what_they_change():
    plain = Plan("cifar10", "sym", 0.9)
    assert plain.name() == "cifar10-sym-90-seed0"
    assert Plan("cifar10", "sym", 0.9, fast=True, form="package").name() == "cifar10-sym-90-fast-seed0"
    changed = Plan("cifar10", "asym", 0.4, seed=2, without="eps", net="small", epochs=9, changes={"cr_weight": 1})
    assert changed.name() == "cifar10-asym-40-without-eps-small-e9-cr_weight=1-seed2"
    odd = Plan("cifar10", "sym", 0.9, labels="a.npz:b:c", changes={"callbacks": {"a/b": "C:\\c"}})  # no name on Windows
    assert odd.name() == "cifar10-sym-90-labels-a-b_c-callbacks={'a_b'_ 'C___c'}-seed0"
    classifier = changed.classifier("cpu")
    assert (classifier.n_warmup_epochs, classifier.n_cycles) == (3, 6)
    assert (classifier.noise_model, classifier.cr_weight, classifier.random_state) == ("uniform", 1, 2)
    assert plain.classifier("cpu").n_cycles == 290
    assert Plan("tiny-imagenet", "sym", 0.5, warmup=0, epochs=4).classifier("cpu").n_cycles == 4
    for wrong in ({"fast": True}, {"net": "small"}, {"n_train": 1}):
        with pytest.raises(ValueError, match="--"):
            Plan("webvision", "real", **wrong)


def test_every_table_has_its_cells():
    counts = {table: sum(c.table == table for c in cells()) for table in range(1, 8)}
    assert counts == {1: 14, 2: 6, 3: 6, 4: 1, 5: 2, 6: 30, 7: 2}
    full = {(c.dataset, c.noise, c.rate): c.value for c in cells() if c.table == 1}
    for cell in cells():
        if cell.table == 6 and cell.without is None:
            assert full[cell.dataset, cell.noise, cell.rate] == cell.value
