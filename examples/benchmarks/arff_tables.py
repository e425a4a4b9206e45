"""Tables for `tables.py` from a folder of ARFF or CSV files, the latter without names: one ``.npz`` (X, y) each.

Nominal columns become flags (two values: one), missing numbers the median of their column. Columns that are missing in
70 % of the rows, constant, or nominal with more than 60 values are left out, as are classes with fewer than ten rows;
of more than ``--most-rows`` rows so many are drawn. The class is the column of that name, or the last one; with
``--thirds`` it is a number, cut where a third and two thirds of the rows are below. With ``--tail`` most rows of rare
classes are left out: from the most frequent class to the rarest one their numbers fall geometrically to that share.

    python examples/benchmarks/arff_tables.py --data DIR --out tables
    python examples/benchmarks/tables.py --data tables --seeds 0 --methods ours,forest --out fresh.jsonl
"""

import argparse
import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd

ATTRIBUTE = re.compile(r"""@attribute\s+('[^']*'|"[^"]*"|\S+)\s+(.*)""", re.IGNORECASE)
FEWEST_OF_A_CLASS, MOST_VALUES, LEAST_THERE = 10, 60, 0.3


def read(text):
    """A DataFrame of the data section; numeric columns are numbers."""
    names, kinds, rows, in_data = [], [], [], False
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("%"):
            continue
        if in_data:
            rows.append(next(csv.reader([line.rstrip(",")], quotechar="'", skipinitialspace=True)))
        elif found := ATTRIBUTE.match(line):
            names.append(found[1].strip("'\""))
            kinds.append(found[2].strip())
        in_data = in_data or line.lower().startswith("@data")
    frame = pd.DataFrame([row for row in rows if len(row) == len(names)], columns=names)
    frame = frame.where(frame != "?")
    for name, kind in zip(names, kinds, strict=True):
        if not kind.startswith("{"):
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame


def read_csv(text):
    """A DataFrame of comma- or semicolon-separated lines without names; columns of numbers are numbers."""
    mark = max(",;", key=text.count)
    lines = csv.reader(text.replace('"', "'").splitlines(), delimiter=mark, quotechar="'", skipinitialspace=True)
    frame = pd.DataFrame([line for line in lines if line]).add_prefix("column ")
    frame = frame.where(~frame.isin(["?", ""]))
    for name in frame:
        of_numbers = pd.to_numeric(frame[name], errors="coerce")
        if of_numbers.notna().sum() == frame[name].notna().sum():
            frame[name] = of_numbers
    return frame


def numbers(column):
    """A column as float features (n, m); None if it is left out."""
    if pd.api.types.is_numeric_dtype(column):
        x = column.to_numpy(float)
        return None if np.nanstd(x) == 0 else np.where(np.isnan(x), np.nanmedian(x), x)[:, None]
    values = column.fillna("?")
    if not 2 <= values.nunique() <= MOST_VALUES:
        return None
    flags = pd.get_dummies(values).to_numpy(float)
    return flags[:, 1:] if flags.shape[1] == 2 else flags


def frequent(X, y):
    """Rows of the classes that have enough of them; classes are numbered anew."""
    kept = np.isin(y, np.flatnonzero(np.bincount(y) >= FEWEST_OF_A_CLASS))
    return X[kept], np.unique(y[kept], return_inverse=True)[1]


def thirds(values):
    """Which third of the numbers (n,) each is in; rows of equal numbers stay together."""
    return np.digitize(values, np.unique(np.quantile(values, [1 / 3, 2 / 3])))


def long_tailed(X, y, share):
    """Rows whose classes become rarer by equal factors, the last one of the size of the first times ``share``."""
    counts, rng = np.bincount(y), np.random.default_rng(0)
    order = np.argsort(-counts, kind="stable")
    wanted = counts.max() * share ** (np.arange(len(order)) / (len(order) - 1))
    parts = [
        rng.permutation(np.flatnonzero(y == k))[: max(FEWEST_OF_A_CLASS, int(n))]
        for k, n in zip(order, wanted, strict=True)
    ]
    rows = np.sort(np.concatenate(parts))
    return X[rows], y[rows]


def table(frame, of_numbers=False, most_rows=6000):
    """X and y."""
    target = next((name for name in frame if name.lower() in ("class", "binaryclass")), frame.columns[-1])
    frame = frame[frame[target].notna()]
    y = thirds(frame[target].to_numpy()) if of_numbers else pd.factorize(frame[target].astype(str), sort=True)[0]
    columns = [frame[name] for name in frame if name != target and frame[name].notna().mean() > LEAST_THERE]
    parts = [part for part in map(numbers, columns) if part is not None]
    X, y = frequent(np.concatenate(parts, axis=1).astype(np.float32), y)
    if len(X) <= most_rows:
        return X, y
    rows = np.random.default_rng(0).permutation(len(X))[:most_rows]
    return frequent(X[rows], y[rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of .arff and .csv files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the .npz files")
    parser.add_argument("--thirds", action="store_true", help="targets are numbers: which third of them")
    parser.add_argument("--most-rows", type=int, default=6000)
    parser.add_argument("--tail", type=float, help="size of the rarest class, beside that of the most frequent one")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in sorted([*args.data.glob("*.arff"), *args.data.glob("*.csv")]):
        frame = (read if path.suffix == ".arff" else read_csv)(path.read_text("latin1"))
        X, y = table(frame, args.thirds, args.most_rows)
        if not len(y):
            print(f"{path.stem}: no class has {FEWEST_OF_A_CLASS} rows")
            continue
        if args.tail:
            X, y = long_tailed(X, y, args.tail)
        np.savez_compressed(args.out / f"{path.stem}.npz", X=X, y=y)
        print(f"{path.stem}: {X.shape[0]} rows, {X.shape[1]} columns, {y.max() + 1} classes")


if __name__ == "__main__":
    main()
