"""What a cycle leaves in the history: its figures and the seconds of each step of Figure 2."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from noisyflywheel.loop.flywheel import Flywheel


def history_row(wheel: Flywheel, rows: Tensor, aux_loss: float, main_loss: float) -> dict[str, float]:
    """The figures of the cycle that ended, over the rows that took part."""
    s = wheel.state
    classes = s.f_prob[rows].argmax(1)
    shares = torch.bincount(classes, minlength=wheel.n_classes) / len(rows)
    entropy = -torch.xlogy(s.f_prob[rows], s.f_prob[rows]).sum(1).mean()
    return {
        "cycle": s.cycle,
        "gamma": float(s.gamma),
        "auxiliary_loss": aux_loss,
        "main_loss": main_loss,
        "cr_weight": wheel.cr_weight(),
        "temperature": s.temperature,
        "agreement": float((classes == wheel.given[rows]).float().mean()),
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
