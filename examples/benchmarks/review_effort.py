"""How many decisions of a person make the labels right: our order, with and without `relearn`, beside others.

Digits with half of the labels drawn anew. The person looks at one row after the other and gives each its true label,
until 99 % of all labels are right, and 99.5 %. Two ways to end: only decided rows are changed, or suspects that nobody
looked at get their suggested labels as well (`noisyflywheel apply --policy refurbish`).

Orders: `ours` by label quality; `ours, relearn` the same, judged anew after each round of decisions; `cleanlab` by its
label quality scores from out-of-fold probabilities of the same plain net, once or anew after each round; `random`.
Where suspects get suggestions, the rows come by how unsure the prediction is; cleanlab's suggestion is the predicted
label.

    pip install cleanlab
    python examples/benchmarks/review_effort.py --json review_effort.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from audit_data import Labelled, environment, load
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.model_selection import StratifiedKFold

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import relearn
from noisyflywheel.nets.prepare import default_net

EPOCHS = 60
GOALS = (0.99, 0.995)
Verdict = tuple[np.ndarray, np.ndarray, np.ndarray]
Judge = Callable[[np.ndarray], Verdict]
"""From a mask of decided rows (n,) to quality, confidence and the label if nobody decides, each (n,)."""


class Ours:
    """Judged by the flywheel; decided rows are known to it."""

    def __init__(self, data: Labelled, seed: int, weight: float) -> None:
        self.data, self.weight = data, weight
        self.model = FlywheelClassifier(random_state=seed)
        self.issues = self.model.fit(data.X, data.given).get_label_issues()

    def __call__(self, decided: np.ndarray) -> Verdict:
        data, rows = self.data, np.flatnonzero(decided)
        if len(rows):
            decisions = pd.DataFrame({"row": rows + 1, "decision": "set", "new_label": data.true[rows]})
            audit = relearn(self.model, data.X, data.given, self.issues, decisions, weight=self.weight)
            self.issues = audit.get_label_issues()
        table = {name: self.issues[name].to_numpy() for name in self.issues}
        suggested = np.where(table["is_label_issue"], table["refurbished_label"], data.given)
        return table["label_quality"], table["refurbished_confidence"], suggested


class Cleanlab:
    """Judged by cleanlab from out-of-fold probabilities of a plain net; decided rows have their true label."""

    def __init__(self, data: Labelled, seed: int) -> None:
        self.data, self.seed = data, seed

    def __call__(self, decided: np.ndarray) -> Verdict:
        labels = np.where(decided, self.data.true, self.data.given)
        proba = np.zeros((len(labels), labels.max() + 1))
        folds = StratifiedKFold(5, shuffle=True, random_state=self.seed)
        for train, test in folds.split(self.data.X, labels):
            proba[test] = plain_net(self.data.X[train], labels[train], self.seed).predict_proba(self.data.X[test])
        suspect = find_label_issues(labels, proba)
        suggested = np.where(suspect, proba.argmax(1), self.data.given)
        return get_label_quality_scores(labels, proba), proba.max(1), suggested


def plain_net(X: np.ndarray, y: np.ndarray, seed: int):
    """The flywheel's own default net for vectors, trained on the labels as they are."""
    torch.manual_seed(seed)
    net = default_net(False, len(X), "cpu")
    net.set_params(module__n_features=X.shape[1], module__n_classes=int(y.max()) + 1, max_epochs=EPOCHS, verbose=0)
    net.initialize()
    net.module_.adapt(torch.from_numpy(X))
    return net.partial_fit(X, y.astype(np.int64))


def decisions_needed(data: Labelled, judge: Judge, step: int | None, suggest: bool) -> dict[float, int]:
    """Decisions until each goal is reached; judged anew after each `step` of them, or never."""
    decided, needed = np.zeros(len(data.given), dtype=bool), {}
    while len(needed) < len(GOALS):
        quality, confidence, suggested = judge(decided)
        order = np.argsort(confidence if suggest else quality, kind="stable")
        wrong = ((suggested if suggest else data.given) != data.true) & ~decided
        rows = order[~decided[order]][:step]
        for row in [*rows, None]:
            for goal in GOALS:
                if 1 - wrong.mean() >= goal:
                    needed.setdefault(goal, int(decided.sum()))
            if row is not None:
                decided[row], wrong[row] = True, False
    return needed


def random_order(data: Labelled, seed: int) -> Judge:
    """Rows in an order that knows nothing."""
    chance = np.random.default_rng(seed).random(len(data.given))
    return lambda decided: (chance, chance, data.given)


def run(seed: int, step: int, weight: float, noise: str) -> Iterator[dict]:
    """Every order on one draw of the noise, one row after the other."""
    data = load(f"digits:{noise}", None, seed)
    n, few = len(data.given), 25
    ways = [
        ("ours", lambda: Ours(data, seed, weight), None, True),
        ("ours, relearn", lambda: Ours(data, seed, weight), few, True),
        ("cleanlab", lambda: Cleanlab(data, seed), None, True),
        ("ours", lambda: Ours(data, seed, weight), None, False),
        ("ours, relearn", lambda: Ours(data, seed, weight), step, False),
        ("cleanlab", lambda: Cleanlab(data, seed), None, False),
        ("cleanlab, each round", lambda: Cleanlab(data, seed), step, False),
        ("random", lambda: random_order(data, seed), None, False),
    ]
    for name, make, each, suggest in ways:
        start = time.perf_counter()
        needed = decisions_needed(data, make(), each, suggest)
        row = {
            "undecided": "suggested label" if suggest else "as given",
            "order": name,
            "seed": seed,
            "rows": n,
            "wrong": int(data.wrong.sum()),
            "decisions_a_round": each,
            **{f"decisions_to_{goal:.1%}": count for goal, count in needed.items()},
            "seconds": time.perf_counter() - start,
        }
        print(*(f"{value:.0f}" if isinstance(value, float) else value for value in row.values()), sep="  ", flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--step", type=int, default=125, help="decisions a round (default 125; 25 with suggestions)")
    parser.add_argument("--weight", type=float, default=2.0, help="of confirmed rows (default 2)")
    parser.add_argument("--noise", default="sym0.5", help="sym0.5, asym0.4 … (default sym0.5)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(environment()))
    rows: list[dict] = []
    for seed in arguments.seeds:
        for row in run(seed, arguments.step, arguments.weight, arguments.noise):
            rows.append(row)
            if arguments.json:
                result = {
                    "environment": environment(),
                    "noise": arguments.noise,
                    "weight": arguments.weight,
                    "rows": rows,
                }
                arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    goals = [f"decisions_to_{goal:.1%}" for goal in GOALS]
    print(pd.DataFrame(rows).groupby(["undecided", "order"], sort=False)[goals].mean().round(1).to_string())


if __name__ == "__main__":
    main()
