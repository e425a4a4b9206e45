"""What `tables.py` shows of its lines: means, wins and losses, ranks; and beside an earlier file."""

import numpy as np
import pandas as pd
from scipy.stats import studentized_range

FEW_TABLES = 8
"""So many have a line each."""

MORE = {
    "Probabilities of test rows": ["log_loss", "test_auroc"],
    "Test rows, every class as important": ["average_precision", "balanced"],
}
"""Tables of further figures, of methods of which all lines have them."""


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
    for name, columns in MORE.items():
        there = [column for column in columns if column in frame]
        whole = frame[there].notna().all(axis=1).groupby(frame["method"]).transform("all")
        if there and whole.any():
            of_test = frame[whole].pivot_table(index="method", columns="noise", values=there)
            print(f"\n{name}\n{of_test.round(4).to_string(na_rep='')}")
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
