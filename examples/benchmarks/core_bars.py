"""Claim: the defaults learn accurate classifiers and rank wrong labels last, on tables and on embeddings.

One row per data set, noise and seed, default parameters throughout: test accuracy (for digits also that of the same
net trained plainly on the given labels), AUROC of the ranking score and of
the calibrated probability (wrong labels last), gamma beside the true rate, number of suspects beside the number of
wrong labels, calibration error, seconds. Embedding sets are read from ``--data``; digits needs nothing.

    python examples/benchmarks/core_bars.py --sets digits --out results.json
    python examples/benchmarks/core_bars.py --sets banking77,agnews,labelme --data DIR --out results.json
    python examples/benchmarks/core_bars.py --sets digits,next --noises asym-40 --data DIR --out results.json
    python examples/benchmarks/core_bars.py --sets digits --noises cifar-40,cifar-45,pairs-40 --out results.json
    python examples/benchmarks/core_bars.py --sets some --data DIR --out results.json

"next" is the three embedding sets with their true labels, of which 40 % are turned into the next class; "some" turns
40 % of every second class into the next one, and leaves the other classes as they are. "cifar" is the map of CIFAR-10's
usual asymmetric noise (five of ten classes, two of them taken for each other), "pairs" takes 0 for 1 and 1 for 0, and
so on.
"""

import argparse
import json
import platform
import time
from functools import partial
from pathlib import Path

import numpy as np
import sklearn
import torch
from audit_data import calibration_error
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from noisyflywheel import FlywheelClassifier
from noisyflywheel.cli.demo import plain_accuracy
from noisyflywheel.loop.decisions import second_start, view_strength
from noisyflywheel.noise import asymmetric, symmetric

DIGITS_NOISE = ("clean", "sym-20", "sym-50", "sym-80", "asym-40")


def mapping_of(kind, y):
    """Which class each class turns into; None for the next one."""
    n_classes = int(y.max()) + 1
    maps = {"cifar": "cifar10", "pairs": {k: k ^ 1 for k in range(n_classes)}}
    return maps.get(kind) or ({k: k + 1 for k in range(0, n_classes - 1, 2)} if kind == "some" else None)


def inject(y, name, seed):
    kind, _, percent = name.partition("-")
    rate = int(percent or 0) / 100
    if not rate:
        return y.copy()
    if kind == "sym":
        return symmetric(y, rate, random_state=seed)
    return asymmetric(y, rate, mapping=mapping_of(kind, y), random_state=seed)


def digits(name, seed):
    X, y = load_digits(return_X_y=True)
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    return train, inject(y_train, name, seed), y_train, test, y_test


def read(folder, file):
    return dict(np.load(Path(folder) / file, allow_pickle=False))


def banking77(folder, seed):
    d = read(folder, "banking77_minilm.npz")
    return d["X_train"], symmetric(d["y_train"], 0.5, random_state=seed), d["y_train"], d["X_test"], d["y_test"]


def agnews(folder, seed):
    d = read(folder, "noisyagnews_minilm.npz")
    return d["X_train"], d["y_train_human"], d["y_train_clean"], d["X_test"], d["y_test"]


def labelme(folder, seed, which):
    d = read(folder, "labelme_vgg.npz")
    return d["X_train"], d[which], d["y_train_clean"], d["X_test"], d["y_test"]


def moved(folder, seed, kind, file, name):
    d = read(folder, file)
    return d["X_train"], inject(d[name], kind, seed), d[name], d["X_test"], d["y_test"]


TRUE = {
    "banking77": ("banking77_minilm.npz", "y_train"),
    "agnews": ("noisyagnews_minilm.npz", "y_train_clean"),
    "labelme": ("labelme_vgg.npz", "y_train_clean"),
}


def jobs(sets, folder, seeds, noises=DIGITS_NOISE):
    for seed in seeds:
        for name in noises if "digits" in sets else ():
            yield f"digits {name}", seed, lambda name=name, seed=seed: digits(name, seed)
        for kind in [kind for of, kind in (("next", "asym-40"), ("some", "some-40")) if of in sets]:
            for name, where in TRUE.items():
                yield f"{name} {kind}", seed, partial(moved, folder, seed, kind, *where)
        if "banking77" in sets:
            yield "banking77 sym-50", seed, lambda seed=seed: banking77(folder, seed)
        if "agnews" in sets:
            yield "agnews human", seed, lambda seed=seed: agnews(folder, seed)
        for kind in ("y_train_majority", "y_train_single") if "labelme" in sets else ():
            yield f"labelme {kind[8:]}", seed, lambda kind=kind, seed=seed: labelme(folder, seed, kind)


def measure(data, seed, params):
    X, given, true, X_test, y_test = data
    start = time.perf_counter()
    clf = FlywheelClassifier(random_state=seed, **params).fit(X, given)
    seconds = time.perf_counter() - start
    right, second = given == true, clf.decisions_[clf.decisions_["decision"] == "second start"]
    auroc = (lambda s: float(roc_auc_score(right, s))) if not right.all() else (lambda s: None)
    return {
        "test_accuracy": float(clf.score(X_test, y_test)),
        "auroc_label_quality": auroc(clf.label_quality_),
        "auroc_clean_proba": auroc(clf.clean_proba_),
        "gamma": clf.clean_rate_,
        "right_labels": float(right.mean()),
        "n_issues": int(clf.get_label_issues()["is_label_issue"].sum()),
        "n_wrong": int((~right).sum()),
        "calibration_error": calibration_error(clf.clean_proba_, right),
        "undone": int(clf.history_["undone"].sum()),
        "second_start": next(iter(second["chosen"] + ": " + second["reason"]), None),
        "refurbished_accuracy": float((clf.refurbished_labels_ == true).mean()),
        "seconds": seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="digits")
    parser.add_argument("--data", default=None, help="folder of the embedding sets")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--params", default="{}", help="JSON of FlywheelClassifier parameters; {} = defaults")
    parser.add_argument("--noises", default=",".join(DIGITS_NOISE), help="of digits")
    parser.add_argument("--one-start", action="store_true", help="nets never begin again")
    parser.add_argument("--fixed-views", action="store_true", help="keep views as strong as they are at first")
    parser.add_argument("--out", default=None)
    args = parser.parse_args()
    if args.fixed_views:
        view_strength.WEAKEST = view_strength.STRONGEST = 1.0
    if args.one_start:
        second_start.NEARLY = float("inf")
    machine = f"{torch.get_num_threads()} threads, {platform.machine()}"
    print(f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, {machine}")
    rows = []
    seeds = [int(s) for s in args.seeds.split(",")]
    for name, seed, load in jobs(args.sets.split(","), args.data, seeds, args.noises.split(",")):
        data = load()
        rows.append({"set": name, "seed": seed} | measure(data, seed, json.loads(args.params)))
        if name.startswith("digits"):
            X, given, _, X_test, y_test = data
            rows[-1]["plain_test_accuracy"] = plain_accuracy(X, given, X_test, y_test, seed)
        shown = {k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}
        print(shown, flush=True)
        if args.out:
            Path(args.out).write_text(json.dumps({"params": json.loads(args.params), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
