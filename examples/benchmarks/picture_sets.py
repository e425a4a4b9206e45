"""Claim: the defaults for pictures hold on other pictures, and whether or not labels are wrong.

Sets: scikit-learn's digits (8 x 8), MNIST and notMNIST (28 x 28, the 10,000 test pictures of each as published),
CIFAR-10 (32 x 32, the archive of `cifar10n_archive.py`). ``--rows`` of them, at most 70 %, are for training, and as
many others, at most 3,000, tell the accuracy. Labels as published, drawn anew for half of the rows, turned into
another class for 40 % (CIFAR-10: its usual map; the others: the next class), and errors that depend on the picture
(40 %, `noisyflywheel.noise.instance_dependent`).

Beside the default fit the same net trained plainly, with as many pictures through forward and backward (see
`hard_start`). Each row of ``--out`` is one set, labels and seed; a second call goes on where the first stopped.

    python examples/benchmarks/picture_sets.py --data DIR --rows 2000 --out pictures.jsonl
    python examples/benchmarks/picture_sets.py --out pictures.jsonl --show
"""

import argparse
import gzip
import json
import time
from pathlib import Path
from types import SimpleNamespace

import core_bars
import numpy as np
import pandas as pd
import torch
from cifar10n_archive import load_archive
from hard_start import counted, fit_plain
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from noisyflywheel.datasets import NoisyData
from noisyflywheel.loop.decisions import second_start
from noisyflywheel.noise import instance_dependent
from noisyflywheel.reproduce.record import environment

SETS, NOISES = "digits,mnist,notmnist,cifar10", "clean,sym-50,asym-40,idn-40"
MOST_TEST = 3000
NAMES = tuple("0123456789")


def pictures_of(name, folder):
    """Pictures (n, H, W, C), uint8, and labels (n,) of a set; None where its files are not there."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return (X.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8), y
    if folder is None:
        return None
    if name == "cifar10":
        path = folder / "cifar10n.npz"
        data = load_archive(path, "clean", n_rows=10_000) if path.exists() else None
        return data and (data.X, data.y_clean)
    paths = [folder / f"{name}-t10k-{file}-ubyte.gz" for file in ("images-idx3", "labels-idx1")]
    if not all(path.exists() for path in paths):
        return None
    images, labels = (np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8) for path in paths)
    return images[16:].reshape(-1, 28, 28, 1), labels[8:].astype(np.int64)


def halved(X):
    """Means of 2 x 2 pixels."""
    n, height, width, n_channels = X.shape
    return X.reshape(n, height // 2, 2, width // 2, 2, n_channels).mean((2, 4)).astype(np.uint8)


def split(X, y, n_rows, seed):
    n_train = min(n_rows, int(0.7 * len(y)))
    n_test = min(n_rows, MOST_TEST, len(y) - n_train)
    return train_test_split(X, y, train_size=n_train, test_size=n_test, stratify=y, random_state=seed)


def given_labels(name, noise, X, y, seed):
    if noise.startswith("idn"):
        return instance_dependent(X, y, int(noise[4:]) / 100, random_state=seed)
    return core_bars.inject(y, noise.replace("asym", "cifar") if name == "cifar10" else noise, seed)


def compare(args, data, given, seed):
    """A row: ours, and plain training for as many pictures."""
    X, X_test, y, y_test = data
    seen = {}
    params = args.params | {"on_cycle": lambda flywheel, row: seen.update(images=counted(flywheel))}
    found = core_bars.measure((X, given, y, X_test, y_test), seed, params) | {"images_seen": seen["images"]}
    if not args.no_plain:
        start, settings = time.perf_counter(), SimpleNamespace(device="cpu")
        train, test = NoisyData(X, given, y, NAMES), NoisyData(X_test, y_test, y_test, NAMES)
        plain = fit_plain(settings, seed, train, test, seen["images"])
        found["plain"] = plain["last_test_accuracy"]
        found["plain_averaged"] = plain["last_test_accuracy_of_averaged_weights"]
        found["plain_seconds"] = time.perf_counter() - start
    return found


def show(rows):
    if not rows:
        print("no rows yet")
        return
    columns = ["test_accuracy", "plain", "plain_averaged", "auroc_label_quality", "refurbished_accuracy"]
    columns += ["right_labels", "n_issues", "n_wrong", "calibration_error", "seconds"]
    frame = pd.DataFrame(rows)
    columns = [column for column in columns if column in frame]
    table = frame.groupby(["set", "noise"])[columns].mean().join(frame.groupby(["set", "noise"]).size().rename("seeds"))
    print(table.round(4).to_string(na_rep=""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None, help="mnist-t10k-*, notmnist-t10k-*, cifar10n.npz")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--noises", default=NOISES)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--half", action="store_true", help="half the resolution, a quarter of the time")
    parser.add_argument("--params", type=json.loads, default={}, help="JSON of FlywheelClassifier parameters")
    parser.add_argument("--no-plain", action="store_true", help="without the plain training beside it")
    parser.add_argument("--one-start", action="store_true", help="nets never begin again")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; rows that are there are not made again")
    parser.add_argument("--show", action="store_true", help="only show what is there")
    args = parser.parse_args()
    if args.one_start:
        second_start.NEARLY = float("inf")
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    done = {(row["set"], row["noise"], row["seed"]) for row in rows}
    for seed in () if args.show else map(int, args.seeds.split(",")):
        for name in args.sets.split(","):
            loaded = pictures_of(name, args.data)
            if loaded is None:
                print(f"left out: {name}, its files are not there")
                continue
            X, y = loaded
            data = split(halved(X) if args.half else X, y, args.rows, seed)
            for noise in args.noises.split(","):
                if (name, noise, seed) in done:
                    continue
                row = {"set": name, "noise": noise, "seed": seed, "shape": data[0].shape, "params": args.params}
                given = given_labels(name, noise, data[0], data[2], seed)
                row |= compare(args, data, given, seed) | {"environment": environment(torch.device("cpu"))}
                rows.append(row)
                with args.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print({key: value for key, value in row.items() if key != "environment"}, flush=True)
    show(rows)


if __name__ == "__main__":
    main()
