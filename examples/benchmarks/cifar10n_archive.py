"""CIFAR-10N kept as JPEG copies in one .npz archive: its reader, and `noisyflywheel reproduce` on it.

Members: ``jpeg`` (all files end to end, uint8), ``offsets`` (n_train + n_test + 1: where each begins), ``y_clean`` and
``y_<name>`` (n_train), ``y_test`` (n_test), ``class_names``. Run as a script it takes the options of `noisyflywheel
reproduce`, with the archive for ``--data``. Scores on the copies lie a little below those on the original pixels; the
results say so.

    python examples/benchmarks/cifar10n_archive.py cifar10 --noise worse --data cifar10n.npz --out results
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np

from noisyflywheel.cli import reproduce
from noisyflywheel.datasets import NoisyData
from noisyflywheel.datasets.base import read_images
from noisyflywheel.datasets.labelfiles import read_npz
from noisyflywheel.reproduce.benchmarks import HUMAN

NOTE = "CIFAR-10 as JPEG copies: scores lie a little below those on the original pixels"
MEMBERS = ("jpeg", "offsets", "y_clean", "y_test", "class_names")


def load_archive(path, labels="worse", *, train=True, n_rows=None) -> NoisyData:
    """The first ``n_rows`` rows (all if None) with the given labels ``y_<labels>``; test rows have the true ones.

    Raises
    ------
    OSError, ValueError
        For an archive without these members, lengths that do not fit, or bad pictures; it names the file.
    """
    archive = read_npz(Path(path))
    absent = [name for name in (*MEMBERS, f"y_{labels}") if name not in archive]
    if absent:
        raise ValueError(f"{path} has no member {', '.join(absent)}; it has {', '.join(sorted(archive))}")
    y_clean = archive["y_clean" if train else "y_test"].astype(np.int64)[:n_rows]
    y = archive[f"y_{labels}"].astype(np.int64)[:n_rows] if train else y_clean
    first = 0 if train else len(archive["y_clean"])
    X = pictures(path, archive, first, len(y_clean))
    if len(y) != len(X):
        raise ValueError(f"{path}: y_{labels} has {len(y)} labels for {len(X)} pictures")
    return NoisyData(X, y, y_clean, tuple(map(str, archive["class_names"])))


def pictures(path, archive, first, n):
    """Pictures (n, H, W, 3) from number ``first`` on."""
    ends, data = archive["offsets"].astype(np.int64), archive["jpeg"].tobytes()
    n_all = len(archive["y_clean"]) + len(archive["y_test"])
    if len(ends) != n_all + 1 or ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > len(data):
        raise ValueError(f"{path}: offsets are not the {n_all + 1} rising places of {n_all} pictures in jpeg")
    files = ((f"{path}, picture {i}", io.BytesIO(data[ends[i] : ends[i + 1]])) for i in range(first, first + n))
    return read_images(files, n, "raise")[0]


def read(path: Path, kind: str) -> tuple[NoisyData, NoisyData, str]:
    """Training data, test data and a note, as `load_benchmark` takes them."""
    return load_archive(path, kind if kind in HUMAN else "clean"), load_archive(path, "clean", train=False), NOTE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reproduce.add_parser(parser.add_subparsers(dest="command", required=True))
    arguments = parser.parse_args(["reproduce", *sys.argv[1:]])
    return reproduce.run(arguments, read)


if __name__ == "__main__":
    raise SystemExit(main())
