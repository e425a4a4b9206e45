"""Claim: `import noisyflywheel` takes less than 0.3 s more than `import sklearn`.

Each import runs in a fresh interpreter; the modules take turns, so that other work on the machine meets all of them.
Reported are the medians of several rounds, of the wall time of the import statement and of the processor time, and
what the package's imports take more than scikit-learn's. The classifier itself needs torch and skorch; it is measured
too.

    python examples/benchmarks/import_time.py
    python examples/benchmarks/import_time.py --rounds 15 --json import_time.json --check
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

STATEMENTS = (
    "import sklearn",
    "import noisyflywheel",
    "import noisyflywheel.noise",
    "from noisyflywheel import FlywheelClassifier",
)
BOUND = 0.3
TIMED = """
import time
wall, processor = time.perf_counter(), time.process_time()
{}
print(time.perf_counter() - wall, time.process_time() - processor)
"""


def seconds(statement: str) -> tuple[float, float]:
    """Wall and processor seconds of one import in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", TIMED.format(statement)], capture_output=True, text=True, check=True)
    wall, processor = map(float, done.stdout.split())
    return wall, processor


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Medians over the rounds, after one round that fills the disk's cache."""
    for statement in STATEMENTS:
        seconds(statement)
    taken = [[seconds(statement) for statement in STATEMENTS] for _ in range(rounds)]
    return {
        statement: {
            "wall_seconds": statistics.median(row[i][0] for row in taken),
            "processor_seconds": statistics.median(row[i][1] for row in taken),
        }
        for i, statement in enumerate(STATEMENTS)
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--check", action="store_true", help=f"exit code 1 where the difference is {BOUND} s or more")
    args = parser.parse_args()
    names = ("noisyflywheel", "scikit-learn", "numpy", "torch", "skorch")
    versions = {"python": platform.python_version()} | {name: version(name) for name in names}
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    medians = measure(args.rounds)
    for statement, found in medians.items():
        print(f"{statement:46} {found['wall_seconds']:7.3f} s, processor {found['processor_seconds']:7.3f} s")
    base = medians["import sklearn"]["wall_seconds"]
    more = medians["import noisyflywheel"]["wall_seconds"] - base
    print(f"import noisyflywheel takes {more:+.3f} s against import sklearn (median of {args.rounds} rounds each)")
    if args.json:
        found = {"claim": __doc__.splitlines()[0], "versions": versions, "rounds": args.rounds}
        args.json.write_text(json.dumps(found | {"medians": medians, "difference_seconds": more}, indent=1) + "\n")
    return int(args.check and more >= BOUND)


if __name__ == "__main__":
    raise SystemExit(main())
