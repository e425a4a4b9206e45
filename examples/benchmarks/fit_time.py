"""How long a default fit takes on 1,000 rows of 20 columns, 10,000 x 50 and 100,000 x 50, beside 10, 60 and 240 s.

Made tables whose columns are in units from 1 to 1,000, 30 % of the labels drawn anew; decisions and folds included.

    python examples/benchmarks/fit_time.py --out fit_time.json
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from machine import device_name
from sklearn.datasets import make_classification

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric

SIZES = ((1_000, 20, 3, 10), (10_000, 50, 10, 60), (100_000, 50, 10, 240))
"""Rows, columns, classes, and the most seconds."""


def measure(n, d, k):
    X, y = make_classification(n + 2000, d, n_informative=d // 2, n_classes=k, random_state=0)
    X = (X * np.logspace(0, 3, d)).astype(np.float32)
    start, cpu = time.perf_counter(), time.process_time()
    clf = FlywheelClassifier(random_state=0).fit(X[:n], symmetric(y[:n], 0.3, random_state=0))
    found = {"rows": n, "columns": d, "seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    return found | {"test_accuracy": float(clf.score(X[n:], y[n:]))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="the first so many sizes only")
    args = parser.parse_args()
    found = {"device": device_name(torch.device("cpu")), "torch": torch.__version__}
    found |= {"threads": torch.get_num_threads(), "load_before": os.getloadavg()[0], "fits": []}
    for n, d, k, most in SIZES[: args.sizes]:
        found["fits"].append(measure(n, d, k) | {"most": most})
        print(found["fits"][-1], flush=True)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
