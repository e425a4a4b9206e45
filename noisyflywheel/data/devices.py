"""What differs between devices: where float64 can be, what a copy has to wait for, and what numpy can read."""

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


def moved(t: Tensor, device: torch.device) -> Tensor:
    """``t`` on a device, on CUDA without waiting: there memory of the host may be let go at once.

    On MPS a copy that does not wait reads it later, when something else may be there (torch 2.14,
    https://github.com/pytorch/pytorch/issues/189690), and one to the host has to have ended.
    """
    return t.to(device, non_blocking=device.type == "cuda")


def on_host(values: Any) -> Any:
    """A tensor, wherever it is, as an array, of bfloat16 as float32; anything else as it is."""
    if not isinstance(values, Tensor):
        return values
    unknown = values.is_floating_point() and values.dtype.itemsize < 4 and values.dtype != torch.float16  # to numpy
    return (values.float() if unknown else values).detach().cpu().numpy()
