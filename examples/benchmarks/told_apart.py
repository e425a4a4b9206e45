"""Claim: noisy labels alone say how far features tell the classes apart, and so where one net on all rows will do.

The figures of `noisyflywheel.estimator.auto.separability`, for digits and for the embeddings of
`core_bars` (``--data``), and for the sets of a folder with injected noise (``--sets``, see `table_data`). With
``--all-rows`` all rows are asked what is known also where the surest do not leave it open. With ``--quiet`` in place of
these figures whether quiet features tell of the classes, or few do, where z of nearest neighbours is above 4
(`noisyflywheel.estimator.auto.telling_features`).

    python examples/benchmarks/told_apart.py --data DIR --sets sets --seeds 0,1 --out told_apart.json
    python examples/benchmarks/told_apart.py --data DIR --sets sets --seeds 0,1 --quiet --out quiet.json
    python examples/benchmarks/told_apart.py --sets sets --tables subj --noises sym30 --all-rows --out open.json
"""

import argparse
import json
import math
from pathlib import Path

import core_bars
import numpy as np
import table_data
import torch

from noisyflywheel.estimator.auto.separability import separability
from noisyflywheel.estimator.auto.telling_features import weigh_few_features, weigh_quiet_features


def rows(args):
    """Name, seed, X and given labels of each set."""
    seeds = [int(seed) for seed in args.seeds.split(",")]
    embeddings = ["banking77", "agnews", "labelme"] if args.data else []
    for name, seed, load in core_bars.jobs(["digits", *embeddings] if not args.tables else [], args.data, seeds):
        X, given, *_ = load()
        yield name, seed, X, given
    tables = args.tables.split(",") if args.tables else table_data.names(args.sets) if args.sets else []
    for name in tables:
        human = any(key.endswith("_0") for key in np.load(args.sets / f"{name}.npz"))
        usual = ("aggre", "random1", "worse") if human else table_data.NOISES
        for noise in args.noises.split(",") if args.noises else usual:
            for seed in seeds:
                table = table_data.load(name, noise, seed, args.sets)
                yield f"{name} {noise}", seed, table.X, table.given


def told_apart(x, labels, all_rows):
    found = separability(x, labels, ask_all=all_rows)
    figures = {name: None if math.isnan(value) else round(value, 3) for name, value in found._asdict().items()}
    return figures | {"tells": found.tells}


def quiet(x, labels):
    found = {"quiet_z": weigh_quiet_features(x, labels).z, "few_z": weigh_few_features(x, labels).z}
    return {name: round(value, 3) for name, value in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=None, help="folder of the embedding sets")
    parser.add_argument("--sets", type=Path, default=None, help="folder of .npz files")
    parser.add_argument("--tables", default=None, help="of the folder, comma-separated; no digits and embeddings then")
    parser.add_argument("--noises", default=None, help="kinds of labels of these sets, comma-separated")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--all-rows", action="store_true", help="what is known also where it does not matter")
    parser.add_argument("--quiet", action="store_true", help="whether quiet or few features tell, by neighbours")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = []
    for name, seed, X, given in rows(args):
        x, labels = torch.from_numpy(np.asarray(X, np.float32)), torch.from_numpy(np.asarray(given)).long()
        figures = quiet(x, labels) if args.quiet else told_apart(x, labels, args.all_rows)
        found.append({"set": name, "seed": seed} | figures)
        print(found[-1], flush=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
