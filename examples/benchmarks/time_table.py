"""Claim: a cycle takes no longer a row where there are more rows, with folds and with one net on all rows.

Made tables of 50 columns in units from 1 to 1,000 and 10 classes, 30 % of the labels drawn anew. Each fit has one
warm-up epoch and six cycles, two from 500,000 rows on; the median of those after the first one counts: by the clock,
and in seconds of the processor, which other work on the machine changes less. "growth" is the processor's time a row
beside that of the size before. Each cell runs in a process of its own; cells that the file has are not run again.

    python examples/benchmarks/time_table.py --json time_table.json
    python examples/benchmarks/time_table.py --rows 2000 4000 --json small.json
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

D, K = 50, 10
LINEAR = 1.1
"""Growth of the time a row up to which "no longer" holds."""


def table(n: int) -> tuple[Any, Any]:
    """Rows around the centres of their classes, in unlike units, and labels of which some are wrong."""
    import numpy as np

    from noisyflywheel.noise import symmetric

    rng = np.random.default_rng(0)
    y = rng.integers(0, K, n)
    X = rng.standard_normal((n, D), dtype=np.float32)
    X += 0.3 * rng.standard_normal((K, D), dtype=np.float32)[y]
    X *= np.logspace(0, 3, D, dtype=np.float32)
    return X, symmetric(y, 0.3, random_state=0)


def cell(n: int, nets: str) -> dict[str, Any]:
    """Fit ``n`` rows in this process."""
    import numpy as np
    import torch
    from machine import device_name

    from noisyflywheel import FlywheelClassifier

    X, given = table(n)
    n_cycles = 6 if n < 500_000 else 2
    ends: list[float] = []

    def on_cycle(flywheel: Any, row: dict[str, float]) -> None:
        ends.append(time.process_time())

    form = {} if nets == "folds" else {"n_folds": 1}
    clf = FlywheelClassifier(
        n_warmup_epochs=1, n_cycles=n_cycles, on_cycle=on_cycle, device="cpu", random_state=0, **form
    )
    start = time.perf_counter()
    clf.fit(X, given)
    seconds = clf.history_.filter(like="_seconds").sum(axis=1)
    return {
        "rows": n,
        "nets": nets,
        "folds": clf.decisions_.set_index("decision").loc["n_folds", "chosen"],
        "cycle_seconds": float(seconds.iloc[1:].median()),
        "cycle_cpu": float(np.median(np.diff(ends))),
        "cycles": n_cycles - 1,
        "fit_seconds": time.perf_counter() - start,
        "device": device_name(torch.device("cpu")),
        "torch": torch.__version__,
        "load": os.getloadavg()[0],
    }


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All cells, those of the file first."""
    path, found = arguments.json, []
    if path and path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    done = {(cell["rows"], cell["nets"]) for cell in found}
    for nets in arguments.nets:
        for n in arguments.rows:
            if (n, nets) in done:
                continue
            command = [sys.executable, "-W", "ignore", __file__, "--one", "--rows", str(n), "--nets", nets]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            found.append(json.loads(output.splitlines()[-1]))
            if path:
                path.write_text(json.dumps({"cells": found}, indent=1) + "\n", encoding="utf-8")
    return found


def show(found: list[dict[str, Any]]) -> bool:
    """Print the table; whether the time a row grows nowhere."""
    holds = True
    print(f"{'rows':>9} {'nets':>5} {'folds':>5} {'s a cycle':>10} {'cpu s':>8} {'cpu us a row':>13} {'growth':>7}")
    for nets in ("folds", "plain"):
        before = None
        for c in sorted((c for c in found if c["nets"] == nets), key=lambda c: c["rows"]):
            a_row = 1e6 * c["cycle_cpu"] / c["rows"]
            growth = a_row / before if before else float("nan")
            holds, before = holds and not growth > LINEAR, a_row
            print(
                f"{c['rows']:>9} {nets:>5} {c['folds']:>5} {c['cycle_seconds']:>10.2f} {c['cycle_cpu']:>8.2f} "
                f"{a_row:>13.1f} {growth:>7.2f}"
            )
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--nets", choices=("folds", "plain"), nargs="+", default=["folds", "plain"])
    parser.add_argument("--json", type=Path, help="write the cells here, and go on from there")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the time a row grows")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(cell(arguments.rows[0], arguments.nets[0])))
        return 0
    print(__doc__.splitlines()[0])
    holds = show(run(arguments))
    return int(arguments.check and not holds)


if __name__ == "__main__":
    sys.exit(main())
