"""The modules of a skorch net: ``module_``, and those that a class of the user's own has beside it."""

from __future__ import annotations

from skorch import NeuralNet
from torch import nn


def named_modules(net: NeuralNet) -> dict[str, nn.Module]:
    """The modules of an initialised net by the names of their attributes."""
    named = {f"{name}_": getattr(net, f"{name}_") for name in net._modules}
    return {name: module for name, module in named.items() if isinstance(module, nn.Module)}


def all_modules(net: NeuralNet) -> nn.ModuleList:
    """The modules of an initialised net as one; none of them is changed."""
    return nn.ModuleList(named_modules(net).values())
