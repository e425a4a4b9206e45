"""Claim: where f starts worse than the labels, default parameters still do no worse than plain training.

CIFAR-10N with the human "worse" labels (40 % wrong), a small net that underfits: the loop's hard case. The
flywheel with default parameters, beside the same default net trained plainly by cross-entropy on the same
labels: same optimizer, batch size, weak views and precision, a cosine over the whole run, for as many
pictures through forward and backward as f saw. Reported of both: test accuracy after the last cycle or
pass; of the flywheel also label_quality's AUROC. Plain training is scored with its weights as they are and
with the weights' moving average, which f has too.

A seed whose result is there is left out, so the command goes on where it was cut off.

The archive holds JPEG copies of CIFAR-10: scores lie a little below those on the original pixels.

    python examples/benchmarks/hard_start.py --data cifar10n.npz --n 10000 --seeds 0 1 --out hard_start.json
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from cifar10n_archive import load_archive
from sklearn.metrics import roc_auc_score

from noisyflywheel import FlywheelClassifier, recipes
from noisyflywheel.data import channels_first, to_tensor
from noisyflywheel.estimator.inputs.rows import make_source
from noisyflywheel.estimator.job.assemble import untrained_flywheel
from noisyflywheel.estimator.job.random_states import draw_seeds
from noisyflywheel.loop.loader import predict_plain
from noisyflywheel.reproduce.measures import CycleMeasures
from noisyflywheel.reproduce.record import environment, write_json

LITERAL = recipes.LITERAL | {"n_warmup_epochs": 10, "n_cycles": 10, "mixup_alpha": 4.0, "contrastive_weight": 0.025}
"""The paper's form, in 20 epochs in place of its 300."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the archive, see cifar10n_archive.py")
    parser.add_argument("--labels", default="worse")
    parser.add_argument("--n", type=int, default=10_000, help="training rows, the first ones (6000, 10000)")
    parser.add_argument("--n-test", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--params", default="{}", help="JSON of FlywheelClassifier parameters; {} = defaults")
    parser.add_argument("--literal", action="store_true", help="the paper's form of the loop (docs/method.md)")
    parser.add_argument("--no-plain", action="store_true", help="without the plain training beside it")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--checkpoints", type=Path, help="folder from which a fit that was cut off goes on")
    parser.add_argument("--out", type=Path, help="a result that is there is not made again; _SEED is added to names")
    args = parser.parse_args()
    args.params = (LITERAL if args.literal else {}) | json.loads(args.params)
    return args


def counted(flywheel) -> int:
    """Rows that went through f forward and backward so far."""
    if hasattr(flywheel.aux, "images_seen"):
        return int(flywheel.aux.images_seen)
    cycles, epochs, n = flywheel.state.cycle, len(flywheel.aux.net.history), len(flywheel.given)
    copies = (2 if flywheel.settings.mixup_alpha > 0 else 1) + (2 if flywheel.head is not None else 0)
    return n * (epochs - cycles) + n * copies * cycles


class Counting:
    """Callback: the measures of a cycle, and the rows that f saw in it, also where a fit goes on from a checkpoint."""

    def __init__(self, measures):
        self.measures, self.before = measures, 0

    def __call__(self, flywheel, row):
        now = counted(flywheel)
        new, self.before = now - self.before, now
        return self.measures(flywheel, row) | {"images_seen": new}


def fit_flywheel(args, seed, data, test):
    """Fit with default parameters; returns the figures of each cycle and in all."""

    def show(row, flywheel):
        print(
            f"cycle {int(row['cycle']):3}  test {row['test_accuracy']:.4f}  gamma {row['gamma']:.3f}  "
            f"y^ right {row['refurbishment_accuracy']:.4f}  AUROC {row['quality_auroc']:.4f}",
            flush=True,
        )

    counting = Counting(CycleMeasures(data.y, data.y_clean, test.X, test.y, sink=show))
    settings = {"random_state": seed, "device": args.device, "on_cycle": counting, "checkpoint_dir": args.checkpoints}
    start = time.perf_counter()
    clf = FlywheelClassifier(**settings | args.params).fit(data.X, data.y)
    seconds, rows = time.perf_counter() - start, clf.history_.to_dict("records")
    right = data.y == data.y_clean
    counts = np.bincount(clf.refurbished_labels_, minlength=10)
    return {
        "last_test_accuracy": float((clf.predict(test.X) == test.y).mean()),
        "best_cycle_test_accuracy": max(row["test_accuracy"] for row in rows),
        "label_quality_auroc": float(roc_auc_score(right, clf.label_quality_)),
        "clean_proba_auroc": float(roc_auc_score(right, clf.clean_proba_)),
        "largest_refurbished_class": float(counts.max() / counts.sum()),
        "refurbished_accuracy": float((clf.refurbished_labels_ == data.y_clean).mean()),
        "clean_rate": clf.clean_rate_,
        "images_seen_by_f": int(sum(row["images_seen"] for row in rows)),
        "warmup_epochs": getattr(clf, "n_warmup_epochs_", None),
        "seconds_of_last_call": seconds,
        "cycles": rows,
    }


def fit_plain(args, seed, data, test, images: int):
    """The default net, by cross-entropy on weak views, until ``images`` went through forward and backward."""
    seeds = draw_seeds(seed)
    with torch.random.fork_rng(devices=[]):
        estimator = FlywheelClassifier(device=args.device, random_state=seed)
        x = channels_first(to_tensor(data.X))
        flywheel = untrained_flywheel(
            estimator, x, data.y, 10, seeds
        )  # f's net, views and batches; its cycles are not run
        start, curve, seen, passes = time.perf_counter(), [], 0, 0
        trainer, n = flywheel.aux, len(data.y)
        trainer.begin()
        while seen < images:
            trainer.scale_lr(0.5 * (1 + math.cos(math.pi * seen / images)))
            rows = flywheel.all_rows[torch.randperm(n, generator=flywheel.loader.order)][: images - seen]
            trainer.epoch(flywheel.warm_up_steps(trainer, rows))
            seen, passes = seen + len(rows), passes + 1
            if passes % 10 == 0 or seen >= images:
                curve.append(accuracy(flywheel, test, averaged=False))
    found = {"last_test_accuracy": curve[-1], "best_test_accuracy": max(curve), "images_seen": seen}
    found["last_test_accuracy_of_averaged_weights"] = accuracy(flywheel, test, averaged=True)
    return found | {"epochs": passes, "seconds": time.perf_counter() - start, "test_accuracy_every_10_epochs": curve}


def accuracy(flywheel, test, averaged: bool) -> float:
    """Test accuracy with the weights' moving average, or with the weights as they are."""
    source = make_source(channels_first(to_tensor(test.X)), flywheel.loader.source.device)
    kept = flywheel.aux.average
    flywheel.aux.average = kept if averaged else None
    log_p = predict_plain(flywheel.aux, source, flywheel.loader.plain)
    flywheel.aux.average = kept
    return float((log_p.argmax(1).cpu().numpy() == test.y).mean())


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    data = load_archive(args.data, args.labels, n_rows=args.n)
    test = load_archive(args.data, args.labels, train=False, n_rows=args.n_test)
    for seed in args.seeds:
        out = args.out and (args.out if len(args.seeds) == 1 else args.out.with_stem(f"{args.out.stem}_{seed}"))
        if out is None or not out.exists():
            compare(args, seed, data, test, out)


def compare(args, seed, data, test, out) -> None:
    """One seed: the flywheel, then plain training for as many pictures."""
    found = {"claim": __doc__.splitlines()[0], "environment": environment(torch.device(args.device))}
    found |= {"n": args.n, "labels": args.labels, "seed": seed, "params": args.params}
    found["right_labels"] = float((data.y == data.y_clean).mean())
    print(f"{args.n:,} pictures, {found['right_labels']:.1%} of the labels right; {found['environment']['device']}")
    found["flywheel"] = fit_flywheel(args, seed, data, test)
    if not args.no_plain:
        found["plain"] = fit_plain(args, seed, data, test, found["flywheel"]["images_seen_by_f"])
    print_figures(found)
    if out:
        write_json(out, found)


def print_figures(found) -> None:
    """The figures of one seed."""
    ours, plain = found["flywheel"], found.get("plain")
    scores = f"label_quality AUROC {ours['label_quality_auroc']:.4f}, clean_proba {ours['clean_proba_auroc']:.4f}"
    print(f"\nflywheel  test {ours['last_test_accuracy']:.4f} after the last cycle;\n          {scores};")
    print(f"          largest class of the refurbished labels {ours['largest_refurbished_class']:.3f}")
    if plain:
        taken = f"{plain['images_seen']:,} pictures, {plain['seconds']:.0f} s"
        print(f"plain     test {plain['last_test_accuracy']:.4f} after {taken}")
        print(f"          with averaged weights {plain['last_test_accuracy_of_averaged_weights']:.4f}")


if __name__ == "__main__":
    main()
