"""BatchNorm over the whole batch where each rank has a share of it, on CPU and CUDA.

``nn.SyncBatchNorm`` trains on CUDA only, and modules would have to be converted to it and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from noisyflywheel.nets.parallel.gradients import stack
from noisyflywheel.nets.parallel.ranks import Ranks

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Synced:
    """The BatchNorms of a module, synchronised while `on` is open.

    Attributes
    ----------
    counts : bool
        Whether the rows of this rank count, or only fill up an empty share.
    n_rows : int
        Of the next forward, on all ranks together.
    """

    def __init__(self, module: nn.Module, ranks: Ranks) -> None:
        self.module, self.ranks, self.counts, self.n_rows = module, ranks, True, 2

    @cached_property
    def norms(self) -> list[Any]:
        """Looked for when first asked for: from its first forward on a LazyBatchNorm1d is a BatchNorm1d."""
        return [norm for norm in self.module.modules() if type(norm) in NORMS]

    @contextmanager
    def on(self) -> Iterator[None]:
        """Inside, batches in training mode are normalised over all ranks; afterwards the modules are as before."""
        for norm in self.norms:
            vars(norm)["forward"] = partial(self.forward, norm)
        try:
            yield
        finally:
            for norm in self.norms:
                del norm.forward

    def forward(self, norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
        """What ``norm`` makes of this rank's share (b, C, ...) of a batch."""
        if not norm.training:
            return type(norm).forward(norm, x)
        norm._check_input_dim(x)
        if self.n_rows * x[0, 0].numel() <= 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        mean, var, n = self._moments(x.float())
        _update_running(norm, mean.detach(), var.detach() * (n / (n - 1)))
        scale = torch.rsqrt(var + norm.eps)
        scale = scale if norm.weight is None else scale * norm.weight
        shift = -mean * scale if norm.bias is None else norm.bias - mean * scale
        shape = (1, -1, *[1] * (x.ndim - 2))
        return (x * scale.view(shape) + shift.view(shape)).to(x.dtype)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and biased variance (C,) over all ranks, and the count of values: scalar."""
        dims = [0, *range(2, x.ndim)]
        var, mean = torch.var_mean(x, dims, correction=0)
        count = x.new_full((1,), self.counts * x.numel() / x.shape[1])
        counts, means, variances = stack(torch.cat([count, mean, var]), self.ranks).split([1, len(mean), len(var)], 1)
        n = counts.detach().sum()
        share = counts.detach() / n  # (ranks, 1); 0 for a rank whose rows only fill up
        total = (share * means).sum(0)
        return total, (share * (variances + (means - total).square())).sum(0), n


@torch.no_grad()
def _update_running(norm: nn.BatchNorm1d, mean: Tensor, var: Tensor) -> None:
    """Running statistics as torch's BatchNorm keeps them; ``var`` is unbiased."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(var, share)
