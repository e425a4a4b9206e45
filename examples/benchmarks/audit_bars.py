"""How good an audit is: every measure of the label audit in one command, as JSON.

    python examples/benchmarks/audit_bars.py --data DIR --json audit.json
    python examples/benchmarks/audit_bars.py --data DIR --parts human calibration --seeds 0

Parts: `human` AUROC of label quality and clean probability on human labels; `crossval` the same by
cross-validation; `calibration` calibration error, precision among the worst and number of suspects on digits;
`banking` number of suspects there; `retrain` test accuracy after corrections; `cost` time and memory of a
whole audit of 10,000 x 384.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from audit_data import Labelled, calibration_error, environment, load
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import apply_corrections, cross_val_audit, write_report

HUMAN = ["agnews", "labelme:majority", "labelme:single"]
DIGITS = ["digits:sym0.2", "digits:sym0.5", "digits:asym0.4"]
BANKING = ["banking:sym0.2", "banking:sym0.5"]
Row = dict[str, float | str | int]


def scores(data: Labelled, audit) -> Row:
    """Everything that the true labels tell about an audit."""
    issues = audit.get_label_issues()
    quality, clean = issues["label_quality"].to_numpy(), np.asarray(audit.clean_proba_)
    n = int(data.wrong.sum())
    worst = np.argsort(quality, kind="stable")[:n]
    return {
        "auroc_label_quality": roc_auc_score(~data.wrong, quality),
        "auroc_clean_proba": roc_auc_score(~data.wrong, clean),
        "calibration_error": calibration_error(clean, ~data.wrong),
        "precision_of_worst": float(data.wrong[worst].mean()),
        "suspects": int(issues["is_label_issue"].sum()),
        "truly_wrong": n,
        "refurbished_right": float((issues["refurbished_label"].to_numpy() == data.true).mean()),
    }


def in_sample(data: Labelled, seed: int) -> Row:
    model = FlywheelClassifier(random_state=seed).fit(data.X, data.given)
    return scores(data, model) | {"test_accuracy": model.score(data.X_test, data.y_test)}


def held_out(data: Labelled, seed: int) -> Row:
    classifier = FlywheelClassifier(random_state=seed)
    return scores(data, cross_val_audit(classifier, data.X, data.given, random_state=seed))


def retrain(data: Labelled, seed: int) -> Row:
    """Test accuracy of a linear model on the given and on the corrected labels."""
    issues = FlywheelClassifier(random_state=seed).fit(data.X, data.given).get_label_issues()
    row: Row = {}
    for C in (0.01, 1.0):
        linear = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=200))
        row[f"given C={C:g}"] = linear.fit(data.X, data.given).score(data.X_test, data.y_test)
        for policy in ("drop", "refurbish"):
            X, y = apply_corrections((data.X, data.given), issues, policy)
            row[f"{policy} C={C:g}"] = linear.fit(X, y).score(data.X_test, data.y_test)
    return row


def cost(data: Labelled, seed: int) -> Row:
    """Seconds of fit and of all that follows, and the peak memory of this process in GB."""
    start = time.perf_counter()
    model = FlywheelClassifier(random_state=seed).fit(data.X, data.given)
    fitted = time.perf_counter()
    issues = model.get_label_issues()
    model.get_class_summary()
    apply_corrections((data.X, data.given), issues, "refurbish")
    with tempfile.TemporaryDirectory() as folder:
        write_report(Path(folder) / "report.html", model, data.X)
    return {
        "shape": "x".join(map(str, data.X.shape)),
        "fit_seconds": fitted - start,
        "audit_seconds": time.perf_counter() - fitted,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


PARTS: dict[str, tuple[list[str], Callable[[Labelled, int], Row]]] = {
    "cost": (["agnews"], cost),
    "human": (HUMAN, in_sample),
    "calibration": (DIGITS, in_sample),
    "banking": (BANKING, in_sample),
    "crossval": (HUMAN, held_out),
    "retrain": (["agnews"], retrain),
}


def mean_rows(rows: list[Row]) -> list[Row]:
    """Mean over the seeds of each number, by part and data set."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row["part"], row["data"]), []).append(row)
    means = []
    for (part, data), group in groups.items():
        names = [n for n, v in group[0].items() if isinstance(v, int | float) and n not in ("seed",)]
        means.append(
            {"part": part, "data": data, "seeds": len(group)}
            | {n: float(np.mean([row[n] for row in group])) for n in names}
        )
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the .npz files")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--sets", nargs="+", help="only these data sets")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the numbers here, after each run")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: list[Row] = []
    for part in arguments.parts:
        names, measure = PARTS[part]
        for name in [n for n in names if not arguments.sets or n in arguments.sets]:
            for seed in arguments.seeds[:1] if part == "cost" else arguments.seeds:
                start = time.perf_counter()
                row = measure(load(name, arguments.data, seed), seed)
                seconds = time.perf_counter() - start
                rows.append({"part": part, "data": name, "seed": seed, **row, "seconds": seconds})
                print(json.dumps(rows[-1]), flush=True)
                if arguments.json:
                    command = " ".join(["python", *sys.argv]).replace(str(arguments.data), "DIR")
                    result = {
                        "command": command,
                        "environment": environment(),
                        "mean": mean_rows(rows),
                        "rows": rows,
                    }
                    arguments.json.write_text(json.dumps(result, indent=1))
    for row in mean_rows(rows):
        print("mean", json.dumps(row))


if __name__ == "__main__":
    main()
