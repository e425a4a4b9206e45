"""Claim: each part of the form with folds earns its place on many tables.

A default fit is repeated with one part left out, or with the paper's simpler one in its place, and compared with the
defaults on the same tables, labels and seeds: test accuracy, log loss of test rows, AUROC of the wrong labels,
calibration error of `clean_proba_`, seconds. Every table of the folder (``.npz`` files of X and y) has two
kinds of labels, in turn as published and "asym30", or "sym30" and "hard20". One line of ``--out`` for each fit; a
second call goes on where the first stopped.

    python examples/benchmarks/ablation.py --data DIR --out ablation.jsonl
    python examples/benchmarks/ablation.py --out ablation.jsonl --show
"""

import argparse
import json
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import table_data
import torch
from audit_data import calibration_error
from sklearn.metrics import roc_auc_score

from noisyflywheel import FlywheelClassifier, em
from noisyflywheel.backbones import FoldedMLP, encodings, members
from noisyflywheel.em import sharpness
from noisyflywheel.estimator.auto import defaults
from noisyflywheel.loop import closing
from noisyflywheel.loop.decisions import decide
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.schedules import learning_rate_share
from noisyflywheel.loop.with_folds import columns, folded_warmup, forests, out_of_fold

KINDS = (("clean", "asym30"), ("sym30", "hard20"))
MEASURES = ("test", "log_loss", "auroc", "calibration", "seconds")
LESS_IS_BETTER = ("log_loss", "calibration", "seconds")


def counting(share):
    """`compare`, but the cycles count ``share``."""

    def compare(*args, **kwargs):
        return decide.compare(*args, **kwargs)._replace(share=share)

    return compare


def impossible(*args):
    """`untold` as no explanation at all."""
    found = UNTOLD(*args)
    return found._replace(score=torch.full_like(found.score, -torch.inf))


def without_division(*_args):
    """`divided`, with nothing to divide out."""
    return iter(())


def no_bins(self, x):
    """`PiecewiseLinear.forward`, all bins 0."""
    return x.new_zeros(len(x), len(self.column))


def own_rate(self):
    """A cosine over the cycles of a round from the nets' own rate."""
    share = learning_rate_share(self.state.cycle - self.rounds.start, self.n_cycles_of_round, 0.0)
    for trainer in self.trainers:
        trainer.scale_lr(share)


def warm_up_as_it_is(self, rows):
    """`OutOfFoldFlywheel._explain`, but f's guess is its prediction and eps stays 1/K, as in the paper."""


def mean_of_q(log_g, given, eps, sample_weight=None):
    """`calibrate_with_clean_rate`, but g is as sure as it is and gamma is the fixed point of Eq. (6)."""
    g_given = log_g.gather(1, given[:, None]).squeeze(1).exp().double()
    gamma = torch.full((), 0.5, dtype=torch.float64)
    for _ in range(50):
        gamma = em.main.clip_clean_rate(
            em.main.weighted_average(em.clean_posterior(g_given, gamma, eps), sample_weight)
        )
    return 1.0, float(gamma)


def score_by_prediction(*args, **kwargs):
    """`close_unseen`, with the prediction itself as ranking score after the warm-up too."""
    return CLOSE_UNSEEN(*args, **kwargs | {"of_refurbished": True})


def one_score(after, before, share, f_prob):
    """`mixed`, but ranking scores are mixed as everything else is."""
    odds = torch.lerp(closing.log_odds(before.quality), closing.log_odds(after.quality), share)
    return MIXED(after, before, share, f_prob)._replace(quality=torch.sigmoid(odds))


UNTOLD, CLOSE_UNSEEN, MIXED = sharpness.untold, closing.close_unseen, closing.mixed
FOLDED = out_of_fold.OutOfFoldFlywheel
PARTS = {
    "defaults": [],
    # what is predicted and judged by
    "cycles": [(out_of_fold, "compare", counting(0.0))],
    "warm-up beside the cycles": [(out_of_fold, "compare", counting(1.0))],
    "forests": [(forests, "NEEDS", 99.0)],
    "second round": [(defaults, "MOST_ROUNDS", 1)],
    "T out of the warm-up": [(members, "HARDLY", float("inf"))],
    "temperature of predictions": [(em, "flattening", lambda *_args: 1.0)],
    # what the members see
    "bins": [(encodings.PiecewiseLinear, "forward", no_bins)],
    "more than 16 bins": [(encodings, "MOST_BINS", encodings.N_BINS)],
    "one edge for a shared value": [(encodings, "spread_edges", lambda *args: encodings.quantile_edges(*args)[0])],
    "smooth clip": [(encodings, "CLIP", 1e6)],
    "weights of columns": [(columns, "compare", partial(decide.compare, needs=99.0))],
    # how they are trained
    "rising rate of the warm-up": [(folded_warmup, "MOST_WARM_UP_RATE", 1.0)],
    "rate of the cycles": [(FOLDED, "_schedule_learning_rates", own_rate)],
    "members of the least loss": [(FoldedMLP, "go_back_to_kept", lambda self: None)],
    "first guess and eps": [(FOLDED, "_explain", warm_up_as_it_is)],
    "posterior through T as target": [(FOLDED, "_m_step_auxiliary", Flywheel._m_step_auxiliary)],
    "calibrated g and gamma": [(em, "calibrate_with_clean_rate", mean_of_q)],
    "confidence regularizer": [(FOLDED, "cr_weight", lambda self: 0.0)],
    # how labels are judged
    "explanations: T divided out": [(sharpness, "divided", without_division)],
    "explanations: temperatures": [(sharpness, "TEMPERATURES", (1.0,))],
    "explanations: nothing is told": [(sharpness, "untold", impossible)],
    "temperature of what is left": [(closing, "TEMPERATURES", (1.0,))],
    "prior of a temperature": [(sharpness, "SHARPER", 0.0)],
    "prior of what is divided out": [(sharpness, "CHEAPER", 0.0)],
    "prior of the share of wrong labels": [(sharpness, "MOST_WRONG", float("inf"))],
    "T in the ranking score": [(out_of_fold, "close_unseen", score_by_prediction)],
    "warm-up whole in the ranking score": [(out_of_fold, "mixed", one_score)],
    "forests in the ranking score": [(closing, "SAY", 0.0)],
}
"""What is set to what, module or class, name and value, for a fit without each part."""

TOGETHER = {
    "three of the steps": ("first guess and eps", "posterior through T as target", "calibrated g and gamma"),
    "both rates": ("rising rate of the warm-up", "rate of the cycles"),
}
TOGETHER["steps and rates"] = (*TOGETHER["three of the steps"], *TOGETHER["both rates"])
PARTS |= {name: [change for part in parts for change in PARTS[part]] for name, parts in TOGETHER.items()}


@contextmanager
def without(part):
    """Fits inside have this part left out."""
    with ExitStack() as stack:
        for change in PARTS[part]:
            stack.enter_context(mock.patch.object(*change))
        yield


def fit(table, part, seed):
    """The `MEASURES` of one fit; those of a kind of labels that does not have them are left out."""
    with without(part):
        start = time.perf_counter()
        clf = FlywheelClassifier(random_state=seed).fit(table.X, table.given)
        seconds = time.perf_counter() - start
        p = clf.predict_proba(table.X_test)
        test = float(clf.score(table.X_test, table.y_test))
    right = table.given == table.y
    chance = p[np.arange(len(p)), np.searchsorted(clf.classes_, table.y_test)]
    found = {"test": test, "log_loss": float(-np.log(chance.clip(1e-12)).mean()), "seconds": round(seconds, 2)}
    found["calibration"] = calibration_error(clf.clean_proba_, right)
    return found if right.all() else found | {"auroc": float(roc_auc_score(right, clf.label_quality_))}


def against_defaults(rows):
    """For each part: means of what is lost without it, their standard errors, and in how many fits that is much."""
    frame = pd.DataFrame(rows).set_index(["table", "noise", "seed"])
    base = frame[frame["part"] == "defaults"]
    found = []
    for part, fits in frame[frame["part"] != "defaults"].groupby("part", sort=False):
        lost = (base.reindex(fits.index)[list(MEASURES)] - fits[list(MEASURES)]).dropna(how="all")
        lost[list(LESS_IS_BETTER)] *= -1
        line = {"part": part, "fits": len(lost)}
        for name in MEASURES:
            line |= {name: lost[name].mean(), f"{name} s.e.": lost[name].std() / max(1, lost[name].count()) ** 0.5}
        much = lost["test"].groupby("table").mean()
        line |= {"tables that lose": int((much > 0.005).sum()), "that win": int((much < -0.005).sum())}
        found.append(line | {"most": much.max(), "on": much.idxmax()})
    return base, pd.DataFrame(found)


def show(rows):
    """What is lost without each part, in the mean."""
    base, found = against_defaults(rows)
    print(f"defaults, {len(base)} fits:", ", ".join(f"{name} {base[name].mean():.4f}" for name in MEASURES))
    print("\nLost without it (negative: won):")
    print(found.round(4).to_string(index=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=None, help="folder of .npz files; without it scikit-learn's small sets")
    parser.add_argument("--tables", default=None, help="names, comma-separated")
    parser.add_argument("--parts", default=None, help="names as in the table, comma-separated; all without it")
    parser.add_argument("--rows", type=int, default=700, help="training rows at most")
    parser.add_argument("--seed", type=int, default=0, help="of split, labels and fit")
    parser.add_argument("--out", required=True, help="JSON lines; runs that are there are not repeated")
    parser.add_argument("--show", action="store_true", help="only show what is there")
    args = parser.parse_args()
    path = Path(args.out)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["table"], row["noise"], row["seed"], row["part"]) for row in rows}
    asked = ["defaults", *args.parts.split(",")] if args.parts else list(PARTS)
    for position, name in enumerate([] if args.show else table_data.names(args.data)):
        if args.tables and name not in args.tables.split(","):
            continue
        for noise in KINDS[position % 2]:
            table = table_data.cut(table_data.load(name, noise, args.seed, args.data), args.rows)
            for part in asked:
                if (name, noise, args.seed, part) in done:
                    continue
                row = {"table": name, "noise": noise, "seed": args.seed, "rows": len(table.y), "part": part}
                row |= {"torch": torch.__version__} | fit(table, part, args.seed)
                rows.append(row)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        print(name, flush=True)
    show(rows)


if __name__ == "__main__":
    main()
