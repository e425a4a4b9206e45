"""What differs between devices: where float64 can be, and what has to leave a device before it is pickled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

WITHOUT_FLOAT64 = ("mps",)
"""Types of devices that have no float64."""


def float64_device(device: torch.device) -> torch.device:
    """Where float64 tensors that belong to ``device`` live: there, or on the host where it has no float64.

    The state of the EM is float64. On an Apple GPU (MPS) it therefore stays in host memory, together with the given
    labels; nets, rows and views are on the device, and log-probabilities cross over.
    """
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


def on_host(value: Any) -> Any:
    """Nested dicts, lists and tuples with every tensor on the CPU, for a pickle that loads anywhere.

    Containers are new, ``value`` is left alone; tensors that are on the CPU are not copied.
    """
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return type(value)((key, on_host(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(on_host(item) for item in value)
    return value
