"""What a cycle leaves in the history: figures of f's prediction and the seconds of each step of Figure 2."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from noisyflywheel.em.counts import class_counts


def history_row(f_prob: Tensor, given: Tensor) -> dict[str, float]:
    """Agreement with ``given`` (B,), largest share of a class and mean entropy of ``f_prob`` (B, K)."""
    classes = f_prob.argmax(1)
    shares = class_counts(classes, f_prob.shape[1]) / len(given)
    entropy = -torch.xlogy(f_prob, f_prob).sum(1).mean()
    return {  # sync: three scalars a cycle
        "agreement": float((classes == given).float().mean()),
        "max_class_share": float(shares.max()),
        "f_entropy": float(entropy),
    }


class Clock:
    """Seconds of each step; on CUDA every lap waits for the device, five times a cycle."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Seconds since the last lap, under ``name``."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.laps[name], self.last = now - self.last, now
