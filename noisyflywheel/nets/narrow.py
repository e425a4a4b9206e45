"""Convolutions of pictures narrower than their stride, which torch 2.14 gets wrong in bf16 on CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def narrow_convolutions(module: nn.Module) -> Iterator[list[nn.Module]]:
    """A list of the convolutions of a module that get pictures (B, C, h, w) with w below their stride, inside.

    In bf16 on a CPU these read beyond the picture, forwards and backwards: what they return and learn is whatever lies
    there, NaN too. Kernels of one pixel do not.
    """
    found: list[nn.Module] = []

    def look(convolution: Any, args: tuple[Any, ...]) -> None:
        if args and args[0].shape[-1] < convolution.stride[1] and convolution.kernel_size != (1, 1):
            found.append(convolution)

    handles = [part.register_forward_pre_hook(look) for part in module.modules() if isinstance(part, nn.Conv2d)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
