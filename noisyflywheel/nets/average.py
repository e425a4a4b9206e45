"""Moving average of a net's weights: what the E-steps and the prediction use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of the parameters and floating-point buffers of a module.

    Parameters
    ----------
    module : nn.Module
    horizon : float, at least 1
        Steps over which the average forgets; the first steps forget faster, so that the start has no say.
    """

    def __init__(self, module: nn.Module, horizon: float) -> None:
        self.horizon = max(1.0, horizon)
        held = [t for t in module.state_dict().values() if isinstance(t, Tensor)]  # an extra state may be anything
        self.live = [t.detach() for t in held if t.is_floating_point()]
        self.mean = [t.clone() for t in self.live]
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are after a step."""
        self.steps += 1
        keep = min(1 - 1 / self.horizon, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.mean, self.live, 1 - keep)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The module holds the averaged weights inside, and its own again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        kept = [t.clone() for t in self.live]
        torch._foreach_copy_(self.live, self.mean)
        torch._foreach_copy_(self.mean, kept)

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """The module keeps the averaged weights for good."""
        torch._foreach_copy_(self.live, self.mean)

    def state_dict(self) -> dict[str, int | list[Tensor]]:
        """The averages and the count of steps, copied."""
        return {"steps": self.steps, "mean": [t.clone() for t in self.mean]}

    def load_state_dict(self, saved: dict) -> None:
        """Put back what `state_dict` returned."""
        self.steps = saved["steps"]
        for mean, other in zip(self.mean, saved["mean"], strict=True):
            mean.copy_(other)
