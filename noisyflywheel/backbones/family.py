"""Perceptrons of one kind side by side, as one module."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Family(nn.Module):
    """Perceptrons of two hidden layers side by side on one encoding of the rows.

    Parameters
    ----------
    n_members : int
        M.
    n_inputs, n_classes, width : int
        Length of the encoding, K, and width of both hidden layers.
    dropout : float in [0, 1)
        After each hidden layer.

    Attributes
    ----------
    input_weight : Tensor of shape (n_inputs, M)
        What each input is multiplied by for each member; not trained, 1 at first.
    """

    input_weight: Tensor

    def __init__(self, n_members: int, n_inputs: int, n_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.n_members, self.width, self.dropout = n_members, width, dropout
        self.w1 = uniform(n_inputs, n_members * width, fan_in=n_inputs)
        self.b1 = uniform(n_members * width, fan_in=n_inputs)
        self.w2, self.b2 = uniform(n_members, width, width, fan_in=width), uniform(n_members, 1, width, fan_in=width)
        self.w3 = uniform(n_members, width, n_classes, fan_in=width)
        self.b3 = uniform(n_members, 1, n_classes, fan_in=width)
        self.register_buffer("input_weight", torch.ones(n_inputs, n_members))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A family pickled before there were weights has weights of 1."""
        super().__setstate__(state)
        self._buffers.setdefault("input_weight", self.w1.new_ones(len(self.w1), self.n_members))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """That of Module; weights that an earlier version did not have are 1."""
        state_dict.setdefault(f"{prefix}input_weight", torch.ones_like(self.input_weight))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every member on the same rows: (B, n_inputs) -> (M, B, K)."""
        hidden = torch.addmm(self.b1, x, self._first().flatten(1))  # one product for all members: (B, M * width)
        return self._further(hidden.view(len(x), self.n_members, self.width).transpose(0, 1))

    def apart(self, x: Tensor) -> Tensor:
        """Logits of every member on rows of its own: (M, B, n_inputs) -> (M, B, K)."""
        w1 = self._first().transpose(0, 1)
        return self._further(torch.baddbmm(self.b1.view(self.n_members, 1, -1), x, w1))

    def _first(self) -> Tensor:
        """Weights of the first layer, times those of the inputs: (n_inputs, M, width)."""
        return self.w1.view(-1, self.n_members, self.width) * self.input_weight[:, :, None]

    def _further(self, hidden: Tensor) -> Tensor:
        """From the first hidden layer (M, B, width) on."""
        hidden = self._drop(F.silu(hidden))
        hidden = self._drop(F.silu(torch.baddbmm(self.b2, hidden, self.w2)))
        return torch.baddbmm(self.b3, hidden, self.w3)

    def _drop(self, hidden: Tensor) -> Tensor:
        """Dropout with one mask for all members: drawing M of them takes as long as the product that follows."""
        if not self.training or self.dropout == 0:
            return hidden
        return hidden * F.dropout(torch.ones_like(hidden[:1]), self.dropout)


def uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """Initial weights as those of torch's Linear: uniform within ``1 / sqrt(fan_in)``."""
    bound = 1 / math.sqrt(max(1, fan_in))
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))
