"""Claim: checkpoints cost at most 5 % of the time of a fit, on digits and on 20,000 images.

The share is measured inside one run, as the time spent in fingerprints and in writing checkpoints over the time of
the whole fit, so that it does not drown in the noise between runs. Run as

    python examples/benchmarks/checkpoints.py [--images 20000]
"""

import argparse
import os
import platform
import tempfile
import time

import numpy as np
import torch
from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.loop.watch import checkpoints as resume

LIMIT = 0.05


def timed(function, spent):
    """The function, its seconds appended to ``spent``."""

    def wrapped(*args, **kwargs):
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - start)

    return wrapped


def share(name, clf, X, y):
    """Fit with checkpoints and print where the time went; returns the share of checkpoints."""
    spent, written = [], []
    keep = resume.data_fingerprint, resume.FitCheckpoints.save
    resume.data_fingerprint = timed(keep[0], spent)
    resume.FitCheckpoints.save = timed(keep[1], written)
    try:
        with tempfile.TemporaryDirectory() as directory:
            start = time.perf_counter()
            clf.set_params(checkpoint_dir=directory).fit(X, y)
            total = time.perf_counter() - start
    finally:
        resume.data_fingerprint, resume.FitCheckpoints.save = keep
    part = (sum(spent) + sum(written)) / total
    print(
        f"{name}: fit {total:.1f} s, {len(written)} checkpoints in {sum(written):.2f} s "
        f"(each {1e3 * np.median(written):.0f} ms), fingerprint {sum(spent):.3f} s: {part:.1%}"
    )
    return part


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    n = parser.parse_args().images
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}")
    X, y = load_digits(return_X_y=True)
    parts = [share("digits", FlywheelClassifier(random_state=0), X, y)]
    if n:
        rng = np.random.default_rng(0)
        labels = rng.integers(10, size=n)
        images = (
            rng.integers(128, size=(n, 32, 32, 3), dtype=np.uint8) + (12 * labels).astype(np.uint8)[:, None, None, None]
        )
        clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=2, random_state=0)
        parts.append(share(f"{n} images", clf, images, labels))
    assert max(parts) <= LIMIT, f"more than {LIMIT:.0%}"


if __name__ == "__main__":
    main()
