"""Side by side with cleanlab: same data, same base classifier, one run.

For each data set and base classifier, cleanlab's `CleanLearning` finds the wrong labels and retrains without
them; `cross_val_label_issues` does the same on the same base classifier; the last rows are
`FlywheelClassifier` by itself. Reported: AUROC of the label quality (wrong labels last), precision among as
many suspects as labels are wrong, number of suspects against the true number, test accuracy, seconds.

    pip install cleanlab
    python examples/benchmarks/bench_cleanlab.py --data DIR --json cleanlab.json
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from audit_data import Labelled, environment, load
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import apply_corrections, cross_val_label_issues

BUILT_IN = ["digits:sym0.2", "digits:sym0.5", "digits:sym0.8", "digits:asym0.4"]
FROM_FILES = ["agnews", "labelme:majority", "labelme:single", "banking:sym0.5"]
WIDTHS = (7, 11, 12, 11, 9)
BASES = {
    "logistic C=1": make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
    "logistic C=.01": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200)),
    "15 neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(15)),
}


def judge(data: Labelled, quality: np.ndarray, n_suspects: int, accuracy: float, seconds: float) -> dict:
    """Row of the table."""
    n = int(data.wrong.sum())
    worst = np.argsort(quality, kind="stable")[:n]
    return {
        "auroc": roc_auc_score(~data.wrong, quality),
        "precision": float(data.wrong[worst].mean()),
        "suspects": n_suspects,
        "truly_wrong": n,
        "test_accuracy": accuracy,
        "seconds": seconds,
    }


def run_plain(data: Labelled, base, seed: int) -> dict:
    """The base classifier on the given labels: no audit."""
    start = time.perf_counter()
    accuracy = clone(base).fit(data.X, data.given).score(data.X_test, data.y_test)
    return {"test_accuracy": accuracy, "seconds": time.perf_counter() - start}


def run_cleanlab(data: Labelled, base, seed: int) -> dict:
    """cleanlab's CleanLearning with its defaults, 5 folds."""
    from cleanlab.classification import CleanLearning

    start = time.perf_counter()
    learner = CleanLearning(clone(base), seed=seed, cv_n_folds=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        issues = learner.find_label_issues(data.X, data.given)
        learner.fit(data.X, data.given, label_issues=issues)
    accuracy = float((learner.predict(data.X_test) == data.y_test).mean())
    seconds = time.perf_counter() - start
    return judge(data, issues["label_quality"].to_numpy(), int(issues["is_label_issue"].sum()), accuracy, seconds)


def run_ours(data: Labelled, base, seed: int) -> dict:
    """`cross_val_label_issues` on the same base classifier, 5 folds; suspects dropped, base trained anew."""
    start = time.perf_counter()
    issues = cross_val_label_issues(base, data.X, data.given, random_state=seed)
    X, y = apply_corrections((data.X, data.given), issues)
    accuracy = clone(base).fit(X, y).score(data.X_test, data.y_test)
    seconds = time.perf_counter() - start
    return judge(data, issues["label_quality"].to_numpy(), int(issues["is_label_issue"].sum()), accuracy, seconds)


def run_flywheel(data: Labelled, _, seed: int) -> dict:
    """`FlywheelClassifier` with its defaults, in-sample scores, its own test accuracy."""
    start = time.perf_counter()
    model = FlywheelClassifier(random_state=seed).fit(data.X, data.given)
    issues = model.get_label_issues()
    accuracy = model.score(data.X_test, data.y_test)
    seconds = time.perf_counter() - start
    return judge(data, issues["label_quality"].to_numpy(), int(issues["is_label_issue"].sum()), accuracy, seconds)


def show(name: str, who: str, base: str, row: dict) -> None:
    """One line of the printed table."""
    cells = [
        f"{row['auroc']:.3f}" if "auroc" in row else "–",
        f"{row['precision']:.3f}" if "precision" in row else "–",
        f"{row['suspects']}/{row['truly_wrong']}" if "suspects" in row else "–",
        f"{row['test_accuracy']:.3f}",
        f"{row['seconds']:.1f}",
    ]
    line = "".join(map(str.rjust, cells, WIDTHS))
    print(f"{name:<17} {base:<15} {who:<12}{line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the .npz files; without it digits only")
    parser.add_argument("--sets", nargs="+", help="names of data sets (default: all there are)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--no-flywheel", action="store_true", help="base classifiers only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    head = ("AUROC", "precision", "suspects", "test acc.", "seconds")
    print(f"{'data':<17} {'base':<15} {'who':<12}" + "".join(map(str.rjust, head, WIDTHS)))
    for name in arguments.sets or BUILT_IN + (FROM_FILES if arguments.data else []):
        data = load(name, arguments.data, arguments.seed)
        runs = [
            (who, base, call)
            for base in BASES
            for who, call in (("given labels", run_plain), ("cleanlab", run_cleanlab), ("ours", run_ours))
        ]
        runs += [] if arguments.no_flywheel else [("flywheel", "default MLP", run_flywheel)]
        for who, base, call in runs:
            row = call(data, BASES.get(base), arguments.seed)
            rows.append({"data": name, "base": base, "who": who, **row})
            show(name, who, base, row)
            if arguments.json:
                result = {"seed": arguments.seed, "environment": environment(), "rows": rows}
                arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
