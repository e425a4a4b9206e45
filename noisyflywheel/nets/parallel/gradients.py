"""Collectives with a gradient."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function

from noisyflywheel.nets.parallel.ranks import Ranks


class _Gather(Function):
    """Rows of all ranks; backward gives each its own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, ranks: Ranks, sizes: list[int]) -> Tensor:
        ctx.ranks, ctx.sizes = ranks, sizes
        return ranks.all_rows(rows, sizes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0].split(ctx.sizes)[ctx.ranks.rank] * ctx.ranks.size, None, None


class _Stack(Function):
    """A tensor of each rank; backward sums over the ranks."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.all_rows(values[None], [1] * ranks.size)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.sum_(grads[0].contiguous())[ctx.ranks.rank], None


def gather(rows: Tensor, ranks: Ranks, sizes: list[int], dim: int = 0) -> Tensor:
    """Rows of all ranks along ``dim``, of which this one has the first ``sizes[rank]`` of ``rows``.

    Every rank computes the same loss from the result. Its gradient is ``size`` times that of the own rows, so that the
    mean over the ranks, which DistributedDataParallel takes of the weights' gradients, is the gradient of that loss.
    """
    own = rows.movedim(dim, 0)[: sizes[ranks.rank]]
    return _Gather.apply(own, ranks, sizes).movedim(0, dim)


def stack(values: Tensor, ranks: Ranks) -> Tensor:
    """A tensor of each rank, (size, ...); each rank's losses send their gradient to all of them."""
    return _Stack.apply(values, ranks)
