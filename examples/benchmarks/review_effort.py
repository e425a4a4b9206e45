"""How many decisions of a person make the labels 99 % right: our order, with and without `relearn`, beside others.

Digits with half of the labels drawn anew. The person looks at one row after the other and gives each its true label.
Two ways to end: only decided rows are changed, or the rest gets the suggested labels as well (`--policy refurbish`).

Orders: `ours` by label quality, `ours, relearn` the same judged anew after each round of decisions; `cleanlab` by its
label quality scores from out-of-fold probabilities of the same plain net, once or anew after each round; `random`.
Where the rest is changed too, the rows come by how unsure the suggestion is: for cleanlab it is the predicted label.

    pip install cleanlab
    python examples/benchmarks/review_effort.py --json review_effort.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from audit_data import environment, load
from cleanlab.rank import get_label_quality_scores
from sklearn.model_selection import StratifiedKFold

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import relearn
from noisyflywheel.nets.prepare import default_net

EPOCHS = 60
Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""From a mask of decided rows (n,) to quality, suggested label and its confidence, each (n,)."""


class Ours:
    """Judged by the flywheel; decided rows are known to it."""

    def __init__(self, data, seed: int, weight: float) -> None:
        self.data, self.weight = data, weight
        self.model = FlywheelClassifier(random_state=seed)
        self.issues = self.model.fit(data.X, data.given).get_label_issues()

    def __call__(self, decided: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if decided.any():
            rows = np.flatnonzero(decided)
            decisions = pd.DataFrame({"row": rows + 1, "decision": "set", "new_label": self.data.true[rows]})
            data = self.data
            self.issues = relearn(
                self.model, data.X, data.given, self.issues, decisions, weight=self.weight
            ).get_label_issues()
        names = ("label_quality", "refurbished_label", "refurbished_confidence")
        return tuple(self.issues[name].to_numpy() for name in names)


class Cleanlab:
    """Judged by cleanlab from out-of-fold probabilities of a plain net; decided rows have their true label."""

    def __init__(self, data, seed: int) -> None:
        self.data, self.seed = data, seed

    def __call__(self, decided: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = np.where(decided, self.data.true, self.data.given)
        proba = np.zeros((len(labels), labels.max() + 1))
        folds = StratifiedKFold(5, shuffle=True, random_state=self.seed)
        for train, test in folds.split(self.data.X, labels):
            proba[test] = plain_net(self.data.X[train], labels[train], self.seed).predict_proba(self.data.X[test])
        return get_label_quality_scores(labels, proba), proba.argmax(1), proba.max(1)


def plain_net(X: np.ndarray, y: np.ndarray, seed: int):
    """The flywheel's own default net for vectors, trained on the labels as they are."""
    torch.manual_seed(seed)
    net = default_net(False, len(X), "cpu")
    net.set_params(module__n_features=X.shape[1], module__n_classes=int(y.max()) + 1, max_epochs=EPOCHS, verbose=0)
    net.initialize()
    net.module_.adapt(torch.from_numpy(X))
    return net.partial_fit(X, y.astype(np.int64))


def decisions_needed(data, judge: Judge, step: int | None, refurbish: bool, goal: float = 0.99) -> int:
    """Decisions until a share `goal` of the labels is right; judged anew after each `step` of them, or never."""
    decided = np.zeros(len(data.given), dtype=bool)
    while True:
        quality, suggested, confidence = judge(decided)
        order = np.argsort(confidence if refurbish else quality, kind="stable")
        order = order[~decided[order]]
        left = (suggested if refurbish else data.given) != data.true
        for row in order if step is None else order[:step]:
            if 1 - (left & ~decided).mean() >= goal:
                return int(decided.sum())
            decided[row] = True
        if decided.all() or 1 - (left & ~decided).mean() >= goal:
            return int(decided.sum())


def run(seed: int, n_rounds: int, weight: float, noise: str) -> list[dict]:
    """Every order on one draw of the noise."""
    data = load(f"digits:{noise}", None, seed)
    n, rng = len(data.given), np.random.default_rng(seed)
    step, chance = -(-n // n_rounds), rng.random(n)
    ways = [
        ("random", lambda: lambda _: (chance, data.given, chance), None, False),
        ("cleanlab", lambda: Cleanlab(data, seed), None, False),
        ("cleanlab, each round", lambda: Cleanlab(data, seed), step, False),
        ("ours", lambda: Ours(data, seed, weight), None, False),
        ("ours, relearn", lambda: Ours(data, seed, weight), step, False),
        ("cleanlab", lambda: Cleanlab(data, seed), None, True),
        ("cleanlab, each round", lambda: Cleanlab(data, seed), step // 4, True),
        ("ours", lambda: Ours(data, seed, weight), None, True),
        ("ours, relearn", lambda: Ours(data, seed, weight), step // 4, True),
    ]
    rows = []
    for name, make, each, refurbish in ways:
        start = time.perf_counter()
        needed = decisions_needed(data, make(), each, refurbish)
        rows.append(
            {
                "order": name,
                "rest": "suggested" if refurbish else "as given",
                "seed": seed,
                "rows": n,
                "wrong": int(data.wrong.sum()),
                "decisions_a_round": each,
                "decisions": needed,
                "share_of_rows": needed / n,
                "seconds": time.perf_counter() - start,
            }
        )
        print(
            f"seed {seed}  rest {rows[-1]['rest']:<10} {name:<22}{needed:>6} of {n}, {data.wrong.sum()} wrong",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=10, help="rounds if every row were looked at (default 10)")
    parser.add_argument("--weight", type=float, default=2.0, help="of confirmed rows (default 2)")
    parser.add_argument("--noise", default="sym0.5", help="sym0.5, asym0.4 … (default sym0.5)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for seed in arguments.seeds for row in run(seed, arguments.rounds, arguments.weight, arguments.noise)]
    mean = pd.DataFrame(rows).groupby(["rest", "order"], sort=False)[["decisions", "share_of_rows"]].mean()
    print(mean.round(3).to_string())
    if arguments.json:
        result = {"environment": environment(), "noise": arguments.noise, "weight": arguments.weight, "rows": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
