"""Tables with injected label noise: a folder of ``.npz`` files (X, y) and ``.csv`` files, or scikit-learn's small sets.

Those of ``.csv`` files are DataFrames, their last column is the class.

Each table is split with the seed (30 % test, stratified); then

- ``clean``: the labels as published,
- ``sym30``: 30 % of them drawn anew over all classes,
- ``asym30``: class k becomes k + 1 with probability .3,
- ``hard20``: 20 % become the runner-up of a forest's out-of-fold prediction, more often where it is unsure (taken from
  the file where it has ``hard20_SEED``),
- where asked for: ``some40``, of every second class k becomes k + 1 with probability .4, the others stay; ``flip20``,
  20 % become another class, whichever; ``missed40``, 40 % of the rows outside the most frequent class are given that
  class; ``alarms``, as many rows of the most frequent class as there are others, a quarter at most, are given the
  classes of those.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

NOISES = ("clean", "sym30", "asym30", "hard20")


class Table(NamedTuple):
    X: np.ndarray | pd.DataFrame
    y: np.ndarray
    """True labels of the training rows."""
    X_test: np.ndarray | pd.DataFrame
    y_test: np.ndarray
    given: np.ndarray


def small_set(name):
    """One of scikit-learn's: diabetes has its target cut into thirds."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return X, (np.digitize(y, np.quantile(y, [1 / 3, 2 / 3])) if name == "diabetes" else y)


def names(folder):
    if folder is None:
        return ["breast_cancer", "wine", "iris", "digits", "diabetes"]
    return sorted(path.stem for kind in ("*.npz", "*.csv") for path in Path(folder).glob(kind))


def frame(path):
    """X, its columns that are no numbers as text, and y."""
    X = pd.read_csv(path, dtype={"class": str})
    y = pd.factorize(X.pop("class"), sort=True)[0]
    return X.assign(**{name: X[name].map(str, na_action="ignore") for name in of_text(X)}), y


def of_text(X):
    """Names of the columns that are no numbers."""
    return list(X.select_dtypes(exclude="number"))


def encoder():
    """Flags for text, numbers with the median where cells are missing: what other methods need."""
    text = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"), OneHotEncoder(handle_unknown="ignore")
    )
    numbers = SimpleImputer(strategy="median", add_indicator=True)
    return make_column_transformer((text, of_text), remainder=numbers, sparse_threshold=0)


def read(name, folder):
    """X, y and what else a file holds."""
    if folder is None:
        return *small_set(name), {}
    if (Path(folder) / f"{name}.csv").exists():
        return *frame(Path(folder) / f"{name}.csv"), {}
    stored = dict(np.load(Path(folder) / f"{name}.npz", allow_pickle=False))
    return stored["X"], stored["y"].astype(int), stored


def load(name, noise, seed, folder=None):
    """A `Table`."""
    X, y, stored = read(name, folder)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
    given = inject(X, y, noise, seed) if f"{noise}_{seed}" not in stored else stored[f"{noise}_{seed}"].astype(int)
    return Table(X, y, X_test, y_test, given)


def cut(table, rows):
    """The table with at most so many training rows, drawn once for all."""
    kept = np.random.default_rng(0).permutation(len(table.y))[:rows]
    return table._replace(X=table.X[kept], y=table.y[kept], given=table.given[kept])


def inject(X, y, noise, seed):
    n, n_classes, rng = len(y), y.max() + 1, np.random.default_rng(seed + 100)
    given, rows = y.copy(), rng.permutation(n)[: int(0.3 * n)]
    redrawn = rng.integers(0, n_classes, len(rows))
    chance = rng.random(n)
    turned = chance < 0.3
    if noise == "sym30":
        given[rows] = redrawn
    elif noise == "asym30":
        given[turned] = (given[turned] + 1) % n_classes
    elif noise == "some40":
        some = (chance < 0.4) & (y % 2 == 0) & (y + 1 < n_classes)
        given[some] += 1
    elif noise == "flip20":
        turned = chance < 0.2
        given[turned] = (given[turned] + rng.integers(1, n_classes, turned.sum())) % n_classes
    elif noise == "missed40":
        given[(chance < 0.4) & (y != most_frequent(y))] = most_frequent(y)
    elif noise == "alarms":
        rare, frequent = np.flatnonzero(y != most_frequent(y)), np.flatnonzero(y == most_frequent(y))
        alarms = rng.permutation(frequent)[: min(len(rare), len(frequent) // 4)]
        given[alarms] = y[rng.choice(rare, len(alarms))]
    elif noise == "hard20":
        return hard(X, y, seed)
    return given


def most_frequent(y):
    return np.bincount(y).argmax()


def hard(X, y, seed, rate=0.2):
    """Errors where a forest is unsure, as people err."""
    X = encoder().fit_transform(X) if isinstance(X, pd.DataFrame) else X
    forest = RandomForestClassifier(200, random_state=seed)
    proba = cross_val_predict(forest, X, y, cv=5, method="predict_proba")
    rng, index = np.random.default_rng(seed + 200), np.arange(len(y))
    unsure = 1 - proba[index, y] + 0.02
    rows = np.argsort(-(rng.random(len(y)) ** (1 / unsure)))[: int(rate * len(y))]  # weighted, without replacement
    proba[index, y] = -1
    given = y.copy()
    given[rows] = proba[rows].argmax(1)
    return given
