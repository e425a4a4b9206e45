"""One fit shared by several processes: each trains on its share of every batch, and all end with the same classifier.

Nothing in the script says so but the way it is started. It fits on scikit-learn's digits with 30 % of the labels
redrawn; every process loads the same rows, and the first one reports.

    python examples/distributed/train.py
    torchrun --nproc-per-node=2 examples/distributed/train.py
    torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=HOST:29500 \
        examples/distributed/train.py --checkpoints /shared/fits
"""

import argparse
import os

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--checkpoints", help="folder; a fit that was killed goes on, on any number of processes")
    arguments = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
    given = symmetric(y_train, 0.3, random_state=0)
    clf = FlywheelClassifier(
        n_cycles=arguments.cycles, checkpoint_dir=arguments.checkpoints, verbose=1, random_state=0
    ).fit(X_train, given)
    if os.environ.get("RANK", "0") == "0":
        issues = clf.get_label_issues()
        print(f"{os.environ.get('WORLD_SIZE', '1')} process(es), {len(given)} rows, {arguments.cycles} cycles")
        print(f"{clf.score(X_test, y_test):.1%} of the test rows right")
        print(f"{(issues['refurbished_label'] == y_train).mean():.1%} of the refurbished labels right")


if __name__ == "__main__":
    main()
