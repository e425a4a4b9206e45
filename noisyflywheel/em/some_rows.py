"""Which of very many rows stand for all of them, where all that is wanted is one number."""

from __future__ import annotations

import torch
from torch import Tensor

MANY_ROWS = 30_000
"""From so many rows a scalar, such as a mean loss, a temperature or a clean rate, is as good as from more."""


def some_rows(n: int, device: torch.device, most: int = MANY_ROWS) -> Tensor:
    """Numbers of ``most`` of ``n`` rows, in order, or of all where there are no more: (m,), int64.

    Always the same ones, drawn rather than evenly spaced: classes may take turns in the rows.
    """
    if n <= most:
        return torch.arange(n, device=device)
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(n))[:most]
    # MPS would read the host's memory too late, so only CUDA is not waited for
    return drawn.sort().values.to(device, non_blocking=device.type == "cuda")
