"""The modules of a skorch net: ``module_``, and those that a class of the user's own has beside it."""

from __future__ import annotations

from skorch import NeuralNet
from torch import nn


def all_modules(net: NeuralNet) -> nn.ModuleList:
    """The modules of an initialised net as one; none of them is changed."""
    parts = [getattr(net, f"{name}_") for name in net._modules]
    return nn.ModuleList(part for part in parts if isinstance(part, nn.Module))
