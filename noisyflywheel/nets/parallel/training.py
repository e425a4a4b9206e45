"""Training steps that are shared: each rank sends its share of a batch through DistributedDataParallel."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from noisyflywheel.nets.parallel.norms import Synced
from noisyflywheel.nets.parallel.ranks import Ranks
from noisyflywheel.nets.parallel.shares import Shares


class SharedTraining:
    """One net in the training steps of a fit that is shared.

    Parameters
    ----------
    net : skorch NeuralNet
        Initialised. Outside of `forwards` its module is as it was.
    ranks : Ranks
    """

    def __init__(self, net: NeuralNet, ranks: Ranks) -> None:
        self.net, self.ranks = net, ranks
        self.plain = getattr(net.module_, "_orig_mod", net.module_)
        self.norms = Synced(self.plain, ranks)

    def share(self, x: Tensor, shares: Shares, views: int = 1) -> tuple[Tensor, list[int]]:
        """This rank's rows of a batch, at least one, and how many rows of it each rank has.

        ``views`` go through the net together.
        """
        own, sizes = shares.own(x, self.ranks)
        self.norms.counts, self.norms.n_rows = sizes[self.ranks.rank] > 0, views * sum(sizes)
        return own, sizes

    @contextmanager
    def forwards(self, x: Tensor) -> Iterator[None]:
        """Inside, forwards of the net are those whose gradients are averaged over the ranks."""
        module = self.net.module_
        vars(self.net)["module_"] = self._wrapped(x)
        try:
            yield
        finally:
            vars(self.net)["module_"] = module

    def _wrapped(self, x: Tensor) -> nn.Module:
        """The module in DistributedDataParallel, made anew when other weights are trained than before."""
        key = (id(self), *(weight.requires_grad for weight in self.plain.parameters()))
        if key not in self.ranks.modules:
            has_unused = self.ranks.any(has_unused_weights(self.plain, x))
            # BatchNorm in a compiled graph would not be synchronised
            module = self.plain if self.norms.norms else self.net.module_
            self.ranks.modules[key] = wrapped(module, self.ranks, has_unused)
        return self.ranks.modules[key]


def wrapped(module: nn.Module, ranks: Ranks, has_unused: bool) -> DistributedDataParallel:
    """The module in DistributedDataParallel; its buffers are the same anyway, for BatchNorm is synchronised."""
    with warnings.catch_warnings():  # torch 2.14 wants a name that earlier ones do not know
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        return DistributedDataParallel(
            module, broadcast_buffers=False, process_group=ranks.group, find_unused_parameters=has_unused
        )


def has_unused_weights(module: nn.Module, x: Tensor) -> bool:
    """Whether some trained weights of a module have no part in its output for views ``x``; nothing is changed."""
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        probe = copy.deepcopy(module)
        for norm in [part for part in probe.modules() if type(part).__name__.startswith("BatchNorm")]:
            norm.eval()  # one row may be all there is
        output = probe(x)
        output = output[0] if isinstance(output, tuple) else output
        trained = [weight for weight in probe.parameters() if weight.requires_grad]
        found = torch.autograd.grad(output.float().sum(), trained, allow_unused=True)
    return any(gradient is None for gradient in found)
