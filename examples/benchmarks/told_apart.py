"""Claim: noisy labels alone say how far features tell the classes apart, and so where one net on all rows will do.

The separability of `noisyflywheel.estimator.separability` and its standard error, for digits and for the embeddings of
`core_bars` (``--data``), and for the sets of a folder with injected noise (``--sets``, see `table_data`).

    python examples/benchmarks/told_apart.py --data DIR --sets sets --seeds 0,1 --out told_apart.json
"""

import argparse
import json
from pathlib import Path

import core_bars
import numpy as np
import table_data
import torch

from noisyflywheel.estimator.defaults import SURELY
from noisyflywheel.estimator.separability import TOLD_APART, separability


def rows(args):
    """Name, seed, X and given labels of each set."""
    seeds = [int(seed) for seed in args.seeds.split(",")]
    embeddings = ["banking77", "agnews", "labelme"] if args.data else []
    for name, seed, load in core_bars.jobs(["digits", *embeddings], args.data, seeds):
        X, given, *_ = load()
        yield name, seed, X, given
    for name in table_data.names(args.sets) if args.sets else []:
        human = any(key.endswith("_0") for key in np.load(args.sets / f"{name}.npz"))
        for noise in ("aggre", "random1", "worse") if human else table_data.NOISES:
            for seed in seeds:
                table = table_data.load(name, noise, seed, args.sets)
                yield f"{name} {noise}", seed, table.X, table.given


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=None, help="folder of the embedding sets")
    parser.add_argument("--sets", type=Path, default=None, help="folder of .npz files")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = []
    for name, seed, X, given in rows(args):
        x, labels = torch.from_numpy(np.asarray(X, np.float32)), torch.from_numpy(np.asarray(given)).long()
        line = {"set": name, "seed": seed} | {k: round(v, 3) for k, v in separability(x, labels)._asdict().items()}
        line["tells"] = bool(line["value"] + SURELY * line["error"] >= TOLD_APART)
        found.append(line)
        print(line, flush=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
