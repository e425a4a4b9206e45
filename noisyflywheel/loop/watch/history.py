"""What a cycle leaves in the history: figures of f's prediction and the seconds of each step of Figure 2."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
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


def measured(found: Any) -> dict[str, Any]:
    """What an ``on_cycle`` returned as columns of the history: a scalar of torch or numpy is a number, None nothing.

    Raises
    ------
    TypeError
        If it is no dict, or holds what is no number, string or None, under a key that is a string.
    """
    found = found or {}
    if not isinstance(found, dict):
        raise TypeError(f"on_cycle must return a dict or None, got {found!r}.")
    return {_name(key): _plain(key, value) for key, value in found.items()}


def _name(key: Any) -> str:
    """The name of a column, which has to be a string."""
    if not isinstance(key, str):
        raise TypeError(f"on_cycle returned the key {key!r}: keys are names of columns of history_, strings.")
    return key


def _plain(key: Any, value: Any) -> Any:
    """A value as a number, truth value, string or None of Python's."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and value.ndim == 0:
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    for kind, of_base in ((int, int), (float, float), (np.floating, float), (str, str.__str__)):
        if isinstance(value, kind):  # members of enumerations are numbers and strings too
            return of_base(value)
    raise TypeError(
        f"on_cycle returned a {type(value).__name__} under {key!r}: history_ takes numbers, strings and None. "
        f"Keep anything else in a list of your own."
    )


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
