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
from pathlib import Path

import sklearn
import table_data
import torch
from table_figures import show, show_beside
from table_runs import measure, methods

from noisyflywheel.backbones import members
from noisyflywheel.loop.decisions import view_strength


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
