"""Claim: no constant of the default loop decides on its own; most may be halved or doubled at little cost.

Every constant is set to half and to twice its value, one at a time, and default estimators are fitted to the tables of
a folder (``.npz`` files of X and y), every other one with labels of "sym30" and of "asym30" (`table_data`). The form
with folds is the default for tables, here with one round of cycles, or ("rounds") with as many as it takes; "columns"
has the numbers by which columns are weighed, "roomy" those that act on tables of few columns and many rows,
"explanations" those by which T and overlap of classes are told apart, with the calibration error of `clean_proba_`,
"forests" those of the forests beside the warm-up.
The form without folds (``n_folds=1``) has constants of its own: "plain" measures them on any table, "wide" on pixels
and embeddings, for which it is the default. One line of ``--out`` for each fit; a second call goes on where the first
stopped.

    python examples/benchmarks/constants.py --data DIR --form folds --rows 400 --out constants.jsonl
    python examples/benchmarks/constants.py --out constants.jsonl --show
"""

import argparse
import inspect
import json
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

import pandas as pd
import table_data
import torch
from audit_data import calibration_error
from sklearn.metrics import roc_auc_score

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import FoldedMLP, encodings, importance, trees
from noisyflywheel.em import division, sharpness
from noisyflywheel.estimator.auto import defaults, separability
from noisyflywheel.loop import closing, main_em
from noisyflywheel.loop.decisions import decide, view_strength, warmup
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.watch import guard
from noisyflywheel.loop.with_folds import columns, folded_warmup, forests, out_of_fold, rounds
from noisyflywheel.views import vectors

FORMS = {
    "folds": {"n_cycles": 16},
    "columns": {"n_cycles": 16},
    "explanations": {},
    "forests": {},
    "rounds": {},
    "roomy": {},
    "plain": {"n_folds": 1},
    "wide": {},
}
MEASURES = ("test", "auroc", "calibration")
"""Columns of a line that are compared with those of the defaults."""

NAMED = {
    "folds": [
        (folded_warmup, "MOST_STEPS", 400, 1600),
        (folded_warmup, "PATIENCE", 4, 16),
        (folded_warmup, "RISE", 3, 12),
        (folded_warmup, "MOST_WARM_UP_RATE", 1.0, 4.0),
        (out_of_fold, "MOST_RATE", 2.5, 10.0),
        (encodings, "CLIP", 1.5, 6.0),
    ],
    "columns": [
        (importance, "N_TREES", 100, 400),
        (importance, "ROWS_A_LEAF", 2, 6),
        (importance, "MOST_LEAVES", 50, 200),
        (importance, "LEAST", 0.05, 0.2),
        (importance, "MOST", 1.5, 6.0),
        (columns, "NEIGHBOURS", 8, 30),
        (columns, "BEYOND_DOUBT", 2.0, 8.0),
    ],
    "explanations": [
        (sharpness, "SHARPER", 1.0, 4.0),
        (sharpness, "CHEAPER", 1.0, 4.0),
        (sharpness, "MOST_WRONG", 1 / 6, 2 / 3),
        (sharpness, "STEEP", 2, 8),
        (division, "ANCHORS", (0.05, 0.125, 0.25), (0.2, 0.5, 1.0)),
        (closing, "TEMPERATURES", (0.2, 0.3, 0.4, 0.5, 0.625), (0.8, 1.2, 1.6, 2.0, 2.5)),
        (sharpness, "MOST_FLAT", 2.0, 8.0),
    ],
    "forests": [
        (trees, "N_TREES", 25, 100),
        (trees, "LEAST_A_LEAF", 1, 4),
        (trees, "MOST_LEAVES", 1_000, 4_000),
        (trees, "NUMBERS_A_TREE", 10_000, 40_000),
        (forests, "LEAST_SHARE", 0.025, 0.1),
    ],
    "rounds": [
        (defaults, "MOST_ROUNDS", 1, 4),
        (rounds, "LATER_SHARE", 0.25, 1.0),
        (rounds, "WORTH", 1.5, 6.0),
    ],
    "plain": [
        (closing, "BAYES_SHARE", 0.15, 0.6),
        (main_em, "F_SHARE", 0.25, 1.0),
        (main_em, "OVERCONFIDENT", 0.04, 0.16),
        (guard, "DRIFT_MOST", 0.15, 0.6),
        (guard, "GAMMA_FALL", 0.165, 0.66),
        (Flywheel, "hold", 0.2, 0.8),
        (warmup, "PATIENCE", 2, 9),  # ten are more than the fewest epochs have
        (warmup, "MAX_EPOCHS", 15, 60),
    ],
    "roomy": [
        (encodings, "MOST_BINS", 24, 96),
        (encodings, "ROOMY_INPUTS", 192, 768),
        (encodings, "ROWS_A_BIN", 32, 128),
    ],
    "wide": [
        (defaults, "BY_HEART", 0.75, 3.0),
        (separability, "TOLD_APART", 0.36, 1.44),
        (separability, "IN_ACCORD", 0.15, 0.6),
        (separability, "SURELY", 0.5, 2.0),
        (defaults, "LONGEST_RAMP", 2, 10),
        (separability, "SUREST", 0.05, 0.2),
        (vectors, "BEYOND_NEIGHBOUR", 0.65, 2.6),
        (view_strength, "LEARNT_BY_HEART", 0.15, 0.6),
        (view_strength, "CHANCE_BELOW", 0.5, 2.0),
        (view_strength, "STRONGEST", 1.0, 3.2),
        (view_strength, "WEAKEST", 0.175, 0.7),
        (Flywheel, "hold", 0.2, 0.8),
    ],
}
"""Where a constant lives, its name, half and twice its value."""


def net(**changes):
    parameters = inspect.signature(FoldedMLP.__init__).parameters.values()
    usual = {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}
    return mock.patch.object(FoldedMLP.__init__, "__defaults__", tuple((usual | changes).values()))


def bins(n):
    return mock.patch.object(encodings, "N_BINS", n)


def of_vectors(**changes):
    return mock.patch.dict(defaults.AUTO_VECTORS, changes)


@contextmanager
def fixed_views():
    """Views as strong as they are at first."""
    with mock.patch.object(view_strength, "WEAKEST", 1.0), mock.patch.object(view_strength, "STRONGEST", 1.0):
        yield None


def clearly(needs, place=out_of_fold):
    return mock.patch.object(place, "compare", partial(decide.compare, needs=needs))


@contextmanager
def parameter(name, value):
    """A parameter of the estimator instead of a constant."""
    yield {name: value}


OTHERS = {
    "folds": {
        "width": (lambda: net(width=64), lambda: net(width=256)),
        "dropout": (lambda: net(dropout=0.05), lambda: net(dropout=0.2)),
        "N_BINS": (lambda: bins(8), lambda: bins(32)),
        "CLEARLY": (lambda: clearly(0.5), lambda: clearly(2.0)),
        "n_cycles": (lambda: parameter("n_cycles", 8), lambda: parameter("n_cycles", 32)),
        "n_folds": (lambda: parameter("n_folds", 3), lambda: parameter("n_folds", 10)),
    },
    "columns": {"columns.CLEARLY": (lambda: clearly(0.5, columns), lambda: clearly(2.0, columns))},
    "explanations": {},
    "forests": {},
    "rounds": {},
    "roomy": {},
    "plain": {},
    "wide": {
        "alignment": (lambda: of_vectors(distribution_alignment=0.15), lambda: of_vectors(distribution_alignment=0.6)),
        "n_cycles": (lambda: of_vectors(n_cycles=50), lambda: of_vectors(n_cycles=200)),
    },
}
"""Constants that are default values, and parameters: what sets half and twice."""


def variants(form):
    """(name, "half" or "twice") -> context manager factory; first the defaults."""
    found = {("defaults", ""): nullcontext}
    for place, name, half, twice in NAMED[form]:
        shown = f"{place.__name__.rsplit('.', 1)[-1]}.{name}"
        for how, value in (("half", half), ("twice", twice)):
            found[shown, how] = partial(mock.patch.object, place, name, value)
    for name, (half, twice) in OTHERS[form].items():
        found[name, "half"], found[name, "twice"] = half, twice
    if form == "wide":
        found["view strength", "fixed"] = fixed_views
    if form == "columns":
        found["weights of columns", "none"] = partial(clearly, 99.0, columns)
    if form == "forests":
        found["forests", "none"] = partial(mock.patch.object, forests, "NEEDS", 99.0)
    return found


def fit(table, form, change, seed=0):
    """Test accuracy, AUROC of the wrong labels, and in two forms the calibration error."""
    with change() as params:
        settings = FORMS[form] | (params if isinstance(params, dict) else {})
        clf = FlywheelClassifier(random_state=seed, **settings).fit(table.X, table.given)
        test = float(clf.score(table.X_test, table.y_test))
    right = table.given == table.y
    found = {"test": test, "auroc": float(roc_auc_score(right, clf.label_quality_))}
    if form not in ("explanations", "forests"):
        return found
    return found | {"calibration": calibration_error(clf.clean_proba_, right)}


def show(rows):
    """Mean change against the defaults over the sets, with its standard error, and the worst set."""
    for form, frame in pd.DataFrame(rows).groupby("form", sort=False):
        frame = frame.drop_duplicates(["table", "constant", "how"], keep="last")
        base = frame[frame["constant"] == "defaults"].set_index("table")
        found = []
        for (constant, how), part in frame[frame["constant"] != "defaults"].groupby(["constant", "how"], sort=False):
            measured = [name for name in MEASURES if name in part and part[name].notna().any()]
            change = (part.set_index("table")[measured] - base[measured]).dropna()
            line = {"constant": constant, "value": how, "sets": len(change)}
            for name in change:
                line |= {name: change[name].mean(), f"{name} s.e.": change[name].std() / max(1, len(change)) ** 0.5}
                line |= {f"{name} changed": int((change[name].abs() > 1e-12).sum())}
            found.append(line | {"worst test": change["test"].min(), "on": change["test"].idxmin()})
        means = " / ".join(f"{mean:.4f}" for mean in base[[name for name in MEASURES if name in base]].mean().dropna())
        print(f"\nForm: {form}; defaults {means} on {len(base)} sets")
        print(pd.DataFrame(found).round(4).to_string(index=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=None, help="folder of .npz files; without it scikit-learn's small sets")
    parser.add_argument("--tables", default=None, help="names, comma-separated")
    parser.add_argument("--form", choices=tuple(FORMS), default="folds")
    parser.add_argument("--constants", default=None, help="names as in the table, comma-separated; all without it")
    parser.add_argument("--rows", type=int, default=400, help="training rows at most")
    parser.add_argument("--seed", type=int, default=0, help="of split, labels and fit; another --out for each")
    parser.add_argument("--out", required=True, help="JSON lines; runs that are there are not repeated")
    parser.add_argument("--show", action="store_true", help="only show what is there")
    args = parser.parse_args()
    path = Path(args.out)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["form"], row["table"], row["constant"], row["how"]) for row in rows}
    for position, name in enumerate([] if args.show else table_data.names(args.data)):
        if args.tables and name not in args.tables.split(","):
            continue
        noise = ("sym30", "asym30")[position % 2]
        table = table_data.cut(table_data.load(name, noise, args.seed, args.data), args.rows)
        for (constant, how), change in variants(args.form).items():
            asked = args.constants is None or constant in ("defaults", *args.constants.split(","))
            if not asked or (args.form, name, constant, how) in done:
                continue
            row = {"form": args.form, "table": name, "rows": len(table.y), "constant": constant, "how": how}
            row |= {"torch": torch.__version__} | fit(table, args.form, change, args.seed)
            rows.append(row)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(name, flush=True)
    show(rows)


if __name__ == "__main__":
    main()
