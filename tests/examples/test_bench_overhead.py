"""The overhead benchmark: both loops do the same arithmetic, the fit costs little more, and its bars can be missed."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from noisyflywheel.noise import symmetric

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_overhead.py"


@pytest.fixture
def script(monkeypatch):
    """The script's functions, whose names can be set to something else."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))["main"].__globals__


def test_a_fit_does_the_same_arithmetic_as_a_bare_loop_at_less_than_twice_its_cost(script):
    found = script["measure"](n_cycles=3, repeats=1, seed=0)
    assert found["largest_difference_of_predictions"] < 1e-3
    assert 0.5 < found["ratio"] < 2  # processor time; the bar of 1.5 is for 20 cycles of a quiet machine


def test_other_arithmetic_is_noticed(script):
    """A bare loop without the regularizer."""
    script["main_loss"] = lambda log_g, labels, prior, weight: torch.nn.functional.nll_loss(log_g, labels)
    X, y = load_digits(return_X_y=True)
    rows, given = X[:400].astype("float32"), symmetric(y[:400], 0.2, random_state=0)
    fit, bare = (script[name](rows, given, n_cycles=4, seed=0) for name in ("with_library", "bare_loop"))
    assert abs(fit - bare).mean() > script["SAME"]


FOUND = {
    "ratio": 1.4,
    "wall_ratio": 1.4,
    "mean_difference_of_predictions": 1e-8,
    "largest_difference_of_predictions": 1e-6,
} | {f"{name}_{kind}_seconds": 1.0 for name in ("fit", "bare") for kind in ("processor", "wall")}


@pytest.mark.parametrize(
    ("change", "status"),
    [({}, 0), ({"ratio": 1.6}, 1), ({"mean_difference_of_predictions": 0.002}, 1)],
)
def test_check_fails_where_a_bar_is_missed(script, change, status, monkeypatch, capsys):
    script["measure"] = lambda *args: FOUND | change
    monkeypatch.setattr(sys, "argv", ["bench_overhead.py", "--check"])
    assert script["main"]() == status
    assert ("no longer do the same arithmetic" in capsys.readouterr().out) == (
        "mean_difference_of_predictions" in change
    )
    monkeypatch.setattr(sys, "argv", ["bench_overhead.py"])
    assert script["main"]() == 0
