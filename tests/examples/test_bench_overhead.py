"""The bare loop of the overhead benchmark does what a fit does: after two cycles both predict the same."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_overhead.py"


def test_bare_loop_does_the_same_arithmetic():
    found = runpy.run_path(str(SCRIPT))["measure"](n_cycles=2, repeats=1, seed=0)
    assert found["largest_difference_of_predictions"] < 1e-3
    assert found["ratio"] > 0
