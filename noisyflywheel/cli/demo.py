"""`noisyflywheel demo`: half of the labels of scikit-learn's digits made wrong, and found again."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from noisyflywheel.cli.parsers import check_training, command_parser
from noisyflywheel.data.paths import user_path
from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.nets.prepare import default_net
from noisyflywheel.noise import symmetric
from noisyflywheel.plot import LabelIssuesDisplay

PLAIN_EPOCHS = 60


def add_parser(subcommands: Any) -> None:
    """Describe the subcommand."""
    parser = command_parser(
        subcommands,
        "demo",
        help="see it work on real data, in less than a minute",
        description="Makes half of the labels of scikit-learn's 1,797 digits wrong, trains the same net "
        "plainly and in the flywheel, and shows the ten labels that are least likely to be right.",
        epilog="examples:\n  noisyflywheel demo\n  noisyflywheel demo --rate 0.8 --seed 1 --out demo80",
    )
    parser.add_argument("--out", type=user_path, default=Path(), help="folder of the picture (default: here)")
    parser.add_argument("--rate", type=float, default=0.5, help="share of labels drawn anew (default 0.5)")
    parser.add_argument("--seed", type=int, default=0, help="of split, noise and training (default 0)")
    parser.add_argument("--cycles", type=int, help="cycles of the flywheel (default: by the data)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train both ways, print the accuracies and the worst labels, save the picture."""
    check_training(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=arguments.seed)
    noisy = np.asarray(symmetric(y_train, arguments.rate, random_state=arguments.seed))
    wrong = int((noisy != y_train).sum())
    print(f"{len(noisy):,} handwritten digits, {wrong:,} of the labels wrong ({wrong / len(noisy):.0%})")
    plain = plain_accuracy(X_train, noisy, X_test, y_test, arguments.seed)
    print(f"plain training     {plain:6.1%} of the test digits right")
    start = time.perf_counter()
    n_cycles = "auto" if arguments.cycles is None else arguments.cycles
    verbose = int(sys.stderr.isatty())
    flywheel = FlywheelClassifier(n_cycles=n_cycles, random_state=arguments.seed, verbose=verbose).fit(X_train, noisy)
    seconds = time.perf_counter() - start
    print(f"the flywheel       {flywheel.score(X_test, y_test):6.1%}   ({seconds:.0f} s)")
    print_worst(flywheel, y_train)
    path = save_picture(flywheel, X_train, arguments.out)
    print(f"\npicture of them: {path}")
    return 0


def plain_accuracy(X: NDArray[Any], y: NDArray[Any], X_test: NDArray[Any], y_test: NDArray[Any], seed: int) -> float:
    """Test accuracy of the flywheel's own default net for vectors trained on the labels as they are, codes 0..K-1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = default_net(False, len(X), "cpu")
        net.set_params(
            module__n_features=X.shape[1], module__n_classes=len(np.unique(y)), max_epochs=PLAIN_EPOCHS, verbose=0
        )
        net.initialize()
        X, X_test = X.astype(np.float32), X_test.astype(np.float32)
        net.module_.adapt(torch.from_numpy(X))
        net.partial_fit(X, y.astype(np.int64))
    return float(np.mean(net.predict(X_test) == y_test))


def print_worst(flywheel: FlywheelClassifier, y_true: NDArray[Any], n: int = 10) -> None:
    """The labels of lowest quality as a small table, with the truth beside them."""
    issues = flywheel.get_label_issues()
    suspects = issues["is_label_issue"].to_numpy()
    hit = float((issues["given_label"].to_numpy() != y_true)[suspects].mean()) if suspects.any() else 0.0
    print(f"\n{suspects.sum():,} suspect labels, {hit:.1%} of them truly wrong. The ten worst:")
    print("   row  given  suggested  truth  quality")
    worst = np.argsort(issues["label_quality"].to_numpy(), kind="stable")[:n]
    for row, line in zip(worst, issues.iloc[worst].itertuples(), strict=True):
        print(
            f"{row!s:>6}  {line.given_label!s:>5}  {line.refurbished_label!s:>9}  {y_true[row]!s:>5}"
            f"  {line.label_quality:7.4f}"
        )


def save_picture(flywheel: FlywheelClassifier, X: NDArray[Any], folder: Path) -> Path:
    """Sheet of the ten worst labels as worst_labels.png in `folder`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    display = LabelIssuesDisplay.from_estimator(flywheel, X, n_worst=10, image_shape=(8, 8))
    FigureCanvasAgg(display.figure_).print_png(path := folder / "worst_labels.png", metadata=None)
    return path
