"""Claim: one set of defaults holds its own on tables that nobody tuned it to, with and without wrong labels.

Ours, a forest, histogram gradient boosting and logistic regression, RealMLP and TabM with their published defaults
(where pytabkit is installed), cleanlab's CleanLearning of the first three of these peers,
our cross-validated audit of them ("audit forest", beside the AUROC of the forest's own out-of-fold probability), and
our nets trained on the true labels, out of fold ("right labels": about what no method can surpass), on every table of a
folder (files of X and y) or on scikit-learn's small sets, with four kinds of labels (see
`table_data`) and several seeds. Each run is one line of ``--out``; a second call goes on where the first stopped.

    python examples/benchmarks/tables.py --data DIR --seeds 0,1,2 --out tables.jsonl
    python examples/benchmarks/tables.py --out tables.jsonl --show     # the tables of the lines that are there
    python examples/benchmarks/tables.py --out tables.jsonl --show --seeds 0 --against before.jsonl
"""

import argparse
import json
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import table_data
import torch
from audit_data import calibration_error
from scipy.stats import studentized_range
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit.cross_val import cross_val_audit
from noisyflywheel.backbones import members
from noisyflywheel.loop import view_strength

FEW_TABLES = 8
"""So many have a line each."""

LEAST_LIKELY = 1e-6
"""Probability of a class at least, for log losses."""


def bases(seed):
    return {
        "forest": RandomForestClassifier(300, random_state=seed),
        "hgb": HistGradientBoostingClassifier(random_state=seed),
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
    }


def deep(name, seed):
    import pytabkit

    kind = {"realmlp": pytabkit.RealMLP_TD_Classifier, "tabm": pytabkit.TabM_D_Classifier}[name]
    return kind(device="cpu", random_state=seed, n_threads=torch.get_num_threads(), verbosity=0)


def ours(table, seed, params):
    clf = FlywheelClassifier(random_state=seed, **params).fit(table.X, table.given)
    found = {"suspects": int(clf.get_label_issues()["is_label_issue"].sum()), "decisions": chosen(clf)}
    found["undone"] = int(clf.history_["undone"].sum())
    found["calibration_error"] = calibration_error(clf.clean_proba_, table.given == table.y)
    return clf.predict(table.X_test), clf.clean_proba_, found | of_probabilities(clf, table)


def chosen(clf):
    return {row.decision: [row.chosen, round(row.z, 2)] for row in clf.decisions_.itertuples()}


def plain(table, base):
    base.fit(table.X, table.given)
    return base.predict(table.X_test), None, of_probabilities(base, table)


def of_probabilities(clf, table):
    """How good `predict_proba` is on test rows: log loss, and the mean over classes of the AUROC of each."""
    p = np.full((len(table.y_test), max(table.y.max(), table.y_test.max()) + 1), LEAST_LIKELY)
    p[:, np.unique(table.given)] = np.maximum(clf.predict_proba(table.X_test), LEAST_LIKELY)
    p /= p.sum(1, keepdims=True)
    each = [float(roc_auc_score(table.y_test == k, p[:, k])) for k in np.unique(table.y_test)]
    return {"log_loss": float(-np.log(p[np.arange(len(p)), table.y_test]).mean()), "test_auroc": float(np.mean(each))}


def quiet(table, base):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plain(table, base)


def clean_learning(table, base):
    from cleanlab.classification import CleanLearning

    learner = CleanLearning(base, cv_n_folds=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(table.X, table.given)
        issues = learner.get_label_issues()
    found = {"suspects": int(issues["is_label_issue"].sum())}
    return learner.predict(table.X_test), issues["label_quality"].to_numpy(), found


def audited(table, base, seed):
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    audit = cross_val_audit(base, table.X, table.given, cv=folds)
    own = cross_val_predict(base, table.X, table.given, cv=folds, method="predict_proba")
    own, right = own[np.arange(len(own)), table.given], table.given == table.y
    found = {"suspects": int((audit.clean_proba_ < 0.5).sum())}
    found["calibration_error"] = calibration_error(audit.clean_proba_, right)
    if not right.all():
        found["own_auroc"] = float(roc_auc_score(right, own))
    return base.fit(table.X, table.given).predict(table.X_test), audit.issues["label_quality"].to_numpy(), found


def of_right_labels(params):
    """Labels judged by nets trained on the true ones, on rows that these have not seen; trained once for all noises."""
    found = {}

    def run(table, seed):
        key = (seed, table.X.tobytes(), table.y.tobytes())
        if key not in found:
            found.clear()
            prob, test = np.zeros((len(table.y), table.y.max() + 1)), 0.0
            for rest, fold in StratifiedKFold(5, shuffle=True, random_state=seed).split(table.X, table.y):
                clf = FlywheelClassifier(random_state=seed, **params).fit(table.X[rest], table.y[rest])
                prob[np.ix_(fold, clf.classes_)] = clf.predict_proba(table.X[fold])
                test = test + clf.predict_proba(table.X_test)
            found[key] = clf.classes_[test.argmax(1)], prob
        predicted, prob = found[key]
        return predicted, prob[np.arange(len(prob)), table.given], {}

    return run


def methods(names, params):
    """Name -> function of (table, seed)."""
    found = {"ours": lambda table, seed: ours(table, seed, params), "right labels": of_right_labels(params)}
    for base in ("forest", "hgb", "logistic"):
        found[base] = lambda table, seed, base=base: plain(table, bases(seed)[base])
        found[f"audit {base}"] = lambda table, seed, base=base: audited(table, bases(seed)[base], seed)
        found[f"cleanlab {base}"] = lambda table, seed, base=base: clean_learning(table, bases(seed)[base])
    for name in ("realmlp", "tabm") if names or find_spec("pytabkit") else ():
        found[name] = lambda table, seed, name=name: quiet(table, deep(name, seed))
    return {name: found[name] for name in names.split(",")} if names else found


def measure(run, table, seed):
    start = time.perf_counter()
    predicted, quality, found = run(table, seed)
    found |= {"test": float((predicted == table.y_test).mean()), "seconds": time.perf_counter() - start}
    wrong = table.given != table.y
    found |= {"n": len(wrong), "n_wrong": int(wrong.sum())}
    if quality is not None and wrong.any():
        found["auroc"] = float(roc_auc_score(~wrong, quality))
    return found


def show(rows):
    """Means over tables and seeds, wins and losses of ours, and what difference of mean ranks is significant."""
    if not rows:
        print("no lines yet")
        return
    frame = pd.DataFrame([{"auroc": np.nan, "suspects": np.nan} | row for row in rows])  # forests alone judge no label
    is_audit, is_bound = frame["method"].str.startswith("audit"), frame["method"] == "right labels"
    frame, audits, bounds = frame[~is_audit & ~is_bound], frame[is_audit], frame[is_bound]
    pivot = frame.pivot_table(index="method", columns="noise", values=["test", "auroc", "suspects"])
    print(pivot.round(4).to_string(na_rep=""))
    if "log_loss" in frame:
        of_proba = frame.pivot_table(index="method", columns="noise", values=["log_loss", "test_auroc"])
        print(f"\nProbabilities of test rows\n{of_proba.round(4).to_string(na_rep='')}")
    print("\nTest accuracy of ours against each: wins, ties (within .002), losses over table x noise x seed")
    wide = frame.pivot_table(index=["table", "noise", "seed"], columns="method", values="test")
    for name in wide.columns.drop("ours", errors="ignore") if "ours" in wide else ():
        difference = (wide["ours"] - wide[name]).dropna()
        counts = (difference > 0.002).sum(), (difference.abs() <= 0.002).sum(), (difference < -0.002).sum()
        print(f"  {name:20} {counts[0]:4} {counts[1]:4} {counts[2]:4}")
    of_tables = wide.dropna().groupby(["table", "noise"]).mean()
    ranks, n, k = of_tables.rank(axis=1, ascending=False).mean(), len(of_tables), of_tables.shape[1]
    print(f"\nMean ranks over {n} tables x noises\n{ranks.round(2).sort_values().to_string()}")
    if k > 1:
        critical = studentized_range.ppf(0.95, k, np.inf) / 2**0.5 * (k * (k + 1) / (6 * n)) ** 0.5
        print(f"critical difference of mean ranks (Nemenyi, 5 %): {critical:.2f}")
    if len(audits):
        beside = audits.groupby(["method", "noise"])[["auroc", "own_auroc", "calibration_error"]].mean()
        print(f"\nAudits, beside the AUROC of the classifier's own probability\n{beside.round(4).to_string(na_rep='')}")
    if len(bounds):
        reached = bounds.groupby("noise")[["test", "auroc"]].mean().round(4)
        print(f"\nOur nets trained on the true labels, on unseen rows\n{reached.to_string(na_rep='')}")
    mine = frame[frame["method"] == "ours"] if "ours" in set(frame["method"]) else frame[:0]
    if len(mine):
        columns = ["test", "auroc", "suspects", "n_wrong", "n", "calibration_error", "seconds"]
        print(f"\nOurs\n{mine.groupby('noise')[columns].mean().round(4).to_string()}")
        print(mine.pivot_table(index="table", columns="noise", values="test").round(4).to_string())
    if frame["table"].nunique() <= FEW_TABLES:
        by_table = frame.pivot_table(index=["table", "noise"], columns="method", values="test")
        judged = mine.groupby(["table", "noise"])[["auroc", "suspects", "n_wrong"]].mean()
        print(f"\nTest accuracy, and what ours judges\n{by_table.join(judged).round(3).to_string(na_rep='')}")


def show_beside(rows, before):
    """Means of ours beside those of an earlier file, on how many runs it is better or worse, and lost runs."""
    keys, measures = ["table", "noise", "seed"], ["test", "auroc", "suspects", "calibration_error"]
    now, then = (pd.DataFrame([row for row in part if row["method"] == "ours"]) for part in (rows, before))
    both = now.merge(then, on=keys, suffixes=("", " before"))
    gain = both["test"] - both["test before"]
    shown = both[[name for measure in measures for name in (measure, f"{measure} before") if name in both]]
    means = shown.groupby(both["noise"]).mean().round(4)
    counts = pd.DataFrame({"better": gain > 0.002, "worse": gain < -0.002}).groupby(both["noise"]).sum()
    print(f"\nOurs beside the other file, {len(both)} runs\n{means.join(counts).T.to_string()}")
    forest = pd.DataFrame([row for row in [*rows, *before] if row["method"] == "forest"], columns=[*keys, "test"])
    beside = now.merge(forest.drop_duplicates(keys), on=keys, suffixes=("", " of forest"))
    lost = beside["test of forest"] - beside["test"]
    counts = (lost < -0.002).sum(), (lost > 0.002).sum()
    print(f"\nOurs against the forest: {counts[0]} wins, {counts[1]} losses; lost by more than .02")
    print(beside.assign(lost=lost.round(3))[lost > 0.02][[*keys, "lost"]].to_string(index=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=None, help="folder of .npz files; without it scikit-learn's small sets")
    parser.add_argument("--tables", default=None, help="names, comma-separated")
    parser.add_argument("--noises", default=",".join(table_data.NOISES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default=None)
    parser.add_argument("--params", default="{}", help="JSON of FlywheelClassifier parameters; {} = defaults")
    parser.add_argument("--fixed-views", action="store_true", help="keep views as strong as they are at first")
    parser.add_argument("--undivided", action="store_true", help="the warm-up predicts the labels it was trained on")
    parser.add_argument("--out", required=True, help="JSON lines; runs that are there are not repeated")
    parser.add_argument("--show", action="store_true", help="only show what is there, of --seeds")
    parser.add_argument("--against", type=Path, help="an earlier file, whose lines of ours are shown beside these")
    args = parser.parse_args()
    if args.fixed_views:
        view_strength.WEAKEST = view_strength.STRONGEST = 1.0
    if args.undivided:
        members.HARDLY = float("inf")
    path = Path(args.out)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["method"], row["table"], row["noise"], row["seed"]) for row in rows}
    versions = f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, {torch.get_num_threads()} threads"
    print(versions)
    runs = {} if args.show else methods(args.methods, json.loads(args.params))
    for seed in map(int, args.seeds.split(",")):
        for name in args.tables.split(",") if args.tables else table_data.names(args.data):
            for noise in args.noises.split(","):
                open_runs = [m for m in runs if (m, name, noise, seed) not in done]
                table = table_data.load(name, noise, seed, args.data) if open_runs else None
                for method in open_runs:
                    row = {"method": method, "table": name, "noise": noise, "seed": seed, "versions": versions}
                    rows.append(row | measure(runs[method], table, seed))
                    with path.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
                    print({k: v for k, v in rows[-1].items() if k != "versions"}, flush=True)
    seeds = {int(seed) for seed in args.seeds.split(",")}
    show([row for row in rows if row["seed"] in seeds])
    if args.against:
        before = [json.loads(line) for line in args.against.read_text().splitlines()]
        show_beside([row for row in rows if row["seed"] in seeds], before)


if __name__ == "__main__":
    main()
