"""Claim: from the same probabilities of held-out rows wrong labels are ranked as well as by cleanlab, and better where
classes are confused with each other.

Parts, each row one line of ``--out``:

`banking`: classes of banking77's embeddings (``--data DIR``), 30 % of the labels drawn anew, given the next class, or
given the nearest one.
`people`: errors in published test sets that people were asked about (``--label-errors DIR``, files of
https://github.com/cleanlab/label-errors: `NAME_test_set_pyx.npy`, `NAME_test_set_original_labels.npy`,
`NAME_mturk.json`), ranked among the rows that were asked for, which are those that cleanlab suspected.
`made`: seconds for many rows and classes.

cleanlab's score is its default, self-confidence.

    python examples/benchmarks/probabilities.py --data DIR --label-errors DIR --out probabilities.jsonl
"""

import argparse
import json
import time
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from audit_data import calibration_error, environment, f32
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from machine import processor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from noisyflywheel.audit import audit_probabilities
from noisyflywheel.noise import symmetric

BASES = {"logistic": LogisticRegression(C=10, max_iter=100), "15 neighbours": KNeighborsClassifier(15)}
WRONG = 0.3
CLASSES = "6,12,24,48,77"
SIZES = "10000x10,100000x100,50000x1000"
PEOPLE = ("mnist", "cifar10", "20news")
MOST_FOR_GIVEN = 2
"""Of five people, at most, who say the given label of a row that counts as wrong."""


def judged(proba, given):
    """Quality and suspects of both, the other verdicts of ours, and seconds of both."""
    start = time.perf_counter()
    audit = audit_probabilities(proba, given, classes=np.arange(proba.shape[1]))
    middle = time.perf_counter()
    quality = {
        "ours": audit.issues["label_quality"].to_numpy(),
        "cleanlab": get_label_quality_scores(given, proba),
    }
    suspects = {"ours": audit.issues["is_label_issue"].to_numpy(), "cleanlab": find_label_issues(given, proba)}
    seconds = {"ours": middle - start, "cleanlab": time.perf_counter() - middle}
    return audit, quality, suspects, seconds


def confused(X, y, noise, seed):
    """Labels of which `WRONG` are drawn anew, the next class, or the one whose mean row points most alike."""
    if noise == "drawn anew":
        return np.asarray(symmetric(y, WRONG, random_state=seed))
    means = np.stack([X[y == k].mean(0) for k in range(y.max() + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = means @ means.T
    np.fill_diagonal(alike, -1)
    other = alike.argmax(1)[y] if noise == "nearest class" else (y + 1) % len(means)
    return np.where(np.random.default_rng(seed).random(len(y)) < WRONG, other, y)


def banking(folder, numbers, seed):
    """Rows of some of banking77's classes, by both classifiers."""
    z = np.load(folder / "banking77_minilm.npz")
    order = np.random.default_rng(seed).permutation(77)
    for n_classes in numbers:
        kept = np.isin(z["y_train"], order[:n_classes])
        X, y = f32(z["X_train"][kept]), np.unique(z["y_train"][kept], return_inverse=True)[1]
        for noise in ("drawn anew", "next class", "nearest class"):
            given = confused(X, y, noise, seed)
            for name, base in BASES.items():
                folds = StratifiedKFold(5, shuffle=True, random_state=seed)
                proba = cross_val_predict(base, X, given, cv=folds, method="predict_proba")
                yield {"set": f"banking{n_classes}", "noise": noise, "base": name} | of_truth(proba, given, y)


def of_truth(proba, given, true):
    audit, quality, suspects, seconds = judged(proba, given)
    wrong = given != true
    row = {
        "n": len(given),
        "wrong": int(wrong.sum()),
        "calibration_error": calibration_error(audit.clean_proba_, ~wrong),
    }
    row["refurbished_right"] = float((audit.refurbished_labels_ == true).mean())
    for who in quality:
        row |= {f"auroc {who}": roc_auc_score(~wrong, quality[who]), f"suspects {who}": int(suspects[who].sum())}
    return row | {f"seconds {who}": spent for who, spent in seconds.items()}


def people(folder):
    """Rows of which people said whether the given label is right."""
    for name in PEOPLE:
        proba, given = (np.load(folder / f"{name}_test_set_{what}.npy") for what in ("pyx", "original_labels"))
        asked = json.loads((folder / f"{name}_mturk.json").read_text("utf-8"))
        rows = np.array([int(one["id"]) for one in asked])
        wrong = np.array([one["mturk"]["given"] <= MOST_FOR_GIVEN for one in asked])
        _, quality, suspects, seconds = judged(proba.astype(np.float64), given.astype(int))
        row = {"set": name, "n": len(given), "asked": len(rows), "wrong": int(wrong.sum())}
        for who in quality:
            found = suspects[who][rows]
            row |= {
                f"auroc {who}": roc_auc_score(~wrong, quality[who][rows]),
                f"suspects {who}": int(suspects[who].sum()),
            }
            row |= {f"suspects asked {who}": int(found.sum()), f"suspects wrong {who}": int((found & wrong).sum())}
        yield row | {f"seconds {who}": spent for who, spent in seconds.items()}


def made(n_rows, n_classes, seed):
    """Probabilities of a classifier that knows of a fifth of labels drawn anew."""
    rng = np.random.default_rng(seed)
    true = rng.integers(n_classes, size=n_rows)
    logits = rng.normal(size=(n_rows, n_classes))
    logits[np.arange(n_rows), true] += 4
    proba = np.exp(logits)
    proba = 0.8 * proba / proba.sum(axis=1, keepdims=True) + 0.2 / n_classes
    given = np.where(rng.random(n_rows) < 0.2, rng.integers(n_classes, size=n_rows), true)
    return {"set": f"made {n_rows} x {n_classes}"} | of_truth(proba, given, true)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of banking77_minilm.npz")
    parser.add_argument("--label-errors", type=Path, help="folder of the files that cleanlab published")
    parser.add_argument("--classes", default=CLASSES, help="numbers of banking77's classes")
    parser.add_argument("--sizes", default=SIZES, help="rows x classes that are made")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    parts = [
        people(arguments.label_errors) if arguments.label_errors else (),
        banking(arguments.data, map(int, arguments.classes.split(",")), arguments.seed) if arguments.data else (),
        (made(*map(int, size.split("x")), arguments.seed) for size in arguments.sizes.split(",")),
    ]
    machine = {"processor": processor(), "threads": torch.get_num_threads()} | environment()
    with arguments.out.open("w", encoding="utf-8") as file:
        print(json.dumps(machine), file=file)
        for row in chain(*parts):
            print(json.dumps(row), file=file, flush=True)
            print(
                *(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), sep=", ", flush=True
            )


if __name__ == "__main__":
    main()
