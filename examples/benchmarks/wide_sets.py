"""Sets with few rows for each feature, for `tables.py`: parts of published embeddings and of MNIST's test pictures.

``--data`` is a folder with ``noisyagnews_minilm.npz`` (``X_train``, ``y_train_clean``), ``banking77_minilm.npz``
(``X_train``, ``y_train``) and ``labelme_vgg.npz`` (``X_train``, ``y_train_clean``, ``X_test``, ``y_test``), and with
MNIST's ``t10k-images-idx3-ubyte.gz`` and ``t10k-labels-idx1-ubyte.gz``, ``TREC.train.all``, UCI's ``sat.train`` and
``sat.test`` (with commas) and ``USPSdata_20_uni.mat``; files that are not there are left out.
``--more`` makes the larger parts, with 1.8 to 2 rows a feature after the split.

    python examples/benchmarks/wide_sets.py --data DIR --out few
    python examples/benchmarks/wide_sets.py --data DIR --out more --more
"""

import argparse
from pathlib import Path

import numpy as np
from hard_sets import mnist_test, semantic
from scipy.io import loadmat


def part(X, y, n, seed):
    """``n`` rows, of classes that have 8 of them or more."""
    rows = np.random.default_rng(seed).permutation(len(X))[:n]
    X, y = X[rows], y[rows]
    kept = np.isin(y, np.flatnonzero(np.bincount(y) >= 8))
    return X[kept], np.unique(y[kept], return_inverse=True)[1]


def news(folder, more):
    found = np.load(folder / "noisyagnews_minilm.npz")
    X, y = part(found["X_train"], found["y_train_clean"], 2000, 0)
    yield ("news1000", *part(X, y, 1000, 1)) if more else ("news400", X[:400], y[:400])


def queries(folder, more):
    found = np.load(folder / "banking77_minilm.npz")
    few = found["y_train"] < 20
    if not more:
        yield ("queries800", *part(found["X_train"][few], found["y_train"][few], 800, 2))


def scenes(folder, more):
    found = np.load(folder / "labelme_vgg.npz")
    X, y = found["X_train"], found["y_train_clean"]
    if more:
        rows = np.random.default_rng(0).permutation(len(found["X_test"]))[:428]
        X, y = np.concatenate([X, found["X_test"][rows]]), np.concatenate([y, found["y_test"][rows]])
    yield f"scenes{len(X)}", X, y


def pictures(folder, more):
    X, y = mnist_test(folder)
    n = 2000 if more else 1000
    yield (f"mnist{n}", *part(X.reshape(len(y), -1), y, n, 0))


def questions(folder, more):
    """TREC's questions, a label and a text a line, as 100 numbers of latent semantic analysis."""
    lines = [
        line.split(" ", 1) for line in (folder / "TREC.train.all").read_text("latin1").splitlines() if line.strip()
    ]
    kept = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[:2500]]
    yield "trec", *semantic(kept, 100)


def satellite(folder, more):
    """UCI's satimage (Statlog): 36 numbers and the class a line."""
    rows = np.concatenate([np.loadtxt(folder / name, delimiter=",") for name in ("sat.train", "sat.test")])
    kept = rows[np.random.default_rng(0).permutation(len(rows))[:3000]]
    yield "satimage", kept[:, :-1].astype(np.float32), np.unique(kept[:, -1], return_inverse=True)[1]


def usps(folder, more):
    """A fifth of USPS's digits, 256 pixels each, as often published for clustering."""
    with (folder / "USPSdata_20_uni.mat").open("rb") as file:  # of a name that is not there loadmat raises OSError
        found = loadmat(file)
    yield "usps", found["X"].astype(np.float32), np.unique(found["Y"].ravel(), return_inverse=True)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--more", action="store_true", help="parts with more rows")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for make in (news, queries, scenes, pictures, questions, satellite, usps):
        try:
            made = list(make(args.data, args.more))
        except FileNotFoundError as error:
            print(f"left out: {error.filename}")
            continue
        for name, X, y in made:
            np.savez_compressed(args.out / f"{name}.npz", X=np.asarray(X, np.float32), y=y.astype(int))
            print(f"{name}: {len(X)} rows of {X.shape[1]} features, {y.max() + 1} classes")


if __name__ == "__main__":
    main()
