"""Warm-up: both nets on the given labels until f is better than they are (Sec. 4.1, Initialization)."""

from __future__ import annotations

from noisyflywheel.flywheel import Flywheel
from noisyflywheel.progress import FitProgress


def warm_up(wheel: Flywheel, progress: FitProgress) -> int:
    """Train both nets on the given labels and set gamma; returns the number of epochs."""
    n = wheel.settings.n_warmup_epochs
    epochs = 15 if n == "auto" else int(n)
    for epoch in range(epochs):
        loss = wheel.warm_up_epoch()
        progress.warm_up(epoch + 1, loss)
    wheel.start_cycles()
    progress.warm_up_done(epochs)
    return epochs
