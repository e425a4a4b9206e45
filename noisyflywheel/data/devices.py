"""What differs between devices: where float64 can be."""

from __future__ import annotations

import torch

WITHOUT_FLOAT64 = ("mps",)
"""Types of devices that have no float64."""


def float64_device(device: torch.device) -> torch.device:
    """Where float64 tensors that belong to ``device`` live: there, or on the host where it has no float64.

    The state of the EM is float64. On an Apple GPU (MPS) it therefore stays in host memory, together with the given
    labels; nets, rows and views are on the device, and log-probabilities cross over.
    """
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device
