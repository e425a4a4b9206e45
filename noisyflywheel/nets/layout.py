"""How pictures lie in memory before a net: channels last, which is faster, where its module takes that."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def is_channels_last(module: nn.Module) -> bool:
    """Whether weights (C', C, h, w) of a module run channels last, so that what it makes of pictures does too."""
    return any(
        weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
        for weight in module.parameters()
        if not is_lazy(weight) and weight.ndim == 4
    )


def to_usual_order(module: nn.Module) -> None:
    """Weights (C', C, h, w) of a module in torch's usual order, in place, for a ``forward`` with ``view``."""
    for weight in module.parameters():
        if not is_lazy(weight) and weight.ndim == 4:
            weight.data = in_usual_order(weight.data)


def in_usual_order(x: Tensor) -> Tensor:
    """The same pictures (B, C, H, W) row by row; strides too, which ``contiguous`` leaves as they are where C is 1."""
    return x.flatten(1).view(x.shape)
