"""Moving average of a net's weights: what the E-steps and the prediction use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of the parameters and buffers of modules that are floating-point or complex.

    Parameters
    ----------
    module : nn.Module
        One, or several in a ``nn.ModuleList``; each says by its own ``state_dict`` what it has.
    horizon : float, at least 1
        Steps over which the average forgets; the first steps forget faster, so that the start has no say.
    """

    def __init__(self, module: nn.Module, horizon: float) -> None:
        self.horizon = max(1.0, horizon)
        self.modules = list(module) if isinstance(module, nn.ModuleList) else [module]
        self.held = {name: t for name, t in self._state().items() if _has_mean(t)}
        self.mean = [t.clone() for t in self.held.values()]
        self.steps = 0

    def _state(self) -> dict[tuple[int, str], Any]:
        """What the modules hold, by place and name."""
        states = [module.state_dict() for module in self.modules]
        return {(place, name): value for place, state in enumerate(states) for name, value in state.items()}

    def live(self) -> list[Tensor]:
        """Weights of the module as they are now: modules assign buffers anew, callbacks the ``data`` of parameters."""
        now = self._state()
        self.held = {name: now.get(name, t) for name, t in self.held.items()}  # pruning gives them other names
        return list(self.held.values())

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are after a step."""
        self.steps += 1
        keep = min(1 - 1 / self.horizon, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.mean, self.live(), 1 - keep)

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
        live = self.live()
        kept = [t.clone() for t in live]
        torch._foreach_copy_(live, self.mean)
        torch._foreach_copy_(self.mean, kept)

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """The module keeps the averaged weights for good."""
        torch._foreach_copy_(self.live(), self.mean)

    def state_dict(self) -> dict[str, int | list[Tensor]]:
        """The averages and the count of steps, copied."""
        return {"steps": self.steps, "mean": [t.clone() for t in self.mean]}

    def load_state_dict(self, saved: dict) -> None:
        """Put back what `state_dict` returned; ValueError if that is of other weights."""
        if len(saved["mean"]) != len(self.mean):
            raise ValueError("it has averages of other weights, such as of one module where a net has several")
        self.steps = saved["steps"]
        for mean, other in zip(self.mean, saved["mean"], strict=True):
            mean.copy_(other)


def _has_mean(value: Any) -> bool:
    """Whether an entry of a module's state is averaged: no whole numbers, and no extra state, which may be anything."""
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())
