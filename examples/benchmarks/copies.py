"""Wrong labels among copies: how many an audit finds where each row is there twice, with its label.

30 % of the labels are drawn anew, then each row is there once, all rows are twice, or every third one is. "apart" is
a fit that takes copies for rows of their own.

    python examples/benchmarks/copies.py --out copies.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from machine import device_name
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import cross_val_label_issues
from noisyflywheel.estimator.inputs import copies
from noisyflywheel.noise import symmetric

SETS = {"wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
MOST_NUMBERS = copies.MOST_NUMBERS


def forms(n):
    """Row numbers of each form of a set of n rows."""
    return {"once": np.arange(n), "twice": np.tile(np.arange(n), 2), "a third twice": np.r_[:n, :n:3]}


def judged(X, given, apart):
    """Suspects by a default flywheel, and by a forest that is cross-validated."""
    copies.MOST_NUMBERS = 0 if apart else MOST_NUMBERS
    flywheel = FlywheelClassifier(random_state=0).fit(X, given).get_label_issues()
    forest = cross_val_label_issues(RandomForestClassifier(random_state=0), X, given)
    return {"flywheel": flywheel, "forest": forest}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = []
    for name, load in SETS.items():
        X, y = load(return_X_y=True)
        given = symmetric(y, 0.3, random_state=1)
        for form, rows in forms(len(y)).items():
            wrong = (given != y)[rows]
            for apart in (False, True)[: 1 if form == "once" else 2]:
                for model, issues in judged(X[rows], given[rows], apart).items():
                    suspects = issues.is_label_issue.to_numpy()
                    counts = {"wrong": wrong.sum(), "suspects": suspects.sum(), "found": (suspects & wrong).sum()}
                    counts |= {
                        "wrong_copies": wrong[len(y) :].sum(),
                        "found_copies": (suspects & wrong)[len(y) :].sum(),
                    }
                    found.append({"set": name, "form": form, "apart": apart, "model": model})
                    found[-1] |= {key: int(count) for key, count in counts.items()}
                    print(found[-1], flush=True)
    if args.out:
        about = {"device": device_name(torch.device("cpu")), "torch": torch.__version__, "fits": found}
        args.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
