"""Training steps that are shared: each rank sends its share of a batch through DistributedDataParallel."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from noisyflywheel.nets.devices import net_device
from noisyflywheel.nets.modules import all_modules, named_modules
from noisyflywheel.nets.parallel.alike import check_alike
from noisyflywheel.nets.parallel.norms import Synced
from noisyflywheel.nets.parallel.ranks import Ranks
from noisyflywheel.nets.parallel.shares import Shares

LEFT_OUT = "Expected to have finished reduction in the prior iteration"
"""How DistributedDataParallel begins to say that weights had no part in the last step."""


class SharedTraining:
    """One net in the training steps of a fit that is shared.

    Parameters
    ----------
    net : skorch NeuralNet
        Initialised. Outside of `forwards` it is as it was.
    ranks : Ranks
    name : str
        "main_net" or "aux_net", for messages.
    seed : int
        Of what ranks beside the first draw inside the net.

    Attributes
    ----------
    size : float or None
        Sum of the absolute values of the trained weights when the last epoch ended.
    """

    size: float | None = None

    def __init__(self, net: NeuralNet, ranks: Ranks, name: str = "the net", seed: int = 0) -> None:
        self.net, self.ranks, self.name, self.seed = net, ranks, name, seed
        self.modules = all_modules(net)
        self.plain = nn.ModuleList(getattr(module, "_orig_mod", module) for module in self.modules)
        self.norms = Synced(self.plain, ranks)

    def begin_epoch(self, stops: bool = False) -> None:
        """Compare the nets of all ranks, unless a callback ``stops`` one of them, and seed what each rank draws."""
        rates = [group["lr"] for group in self.net.optimizer_.param_groups]
        rates = [rate for rate in rates if not isinstance(rate, Tensor)]  # reading one would wait for its device
        weights = [(tuple(weight.shape), weight.requires_grad) for weight in self.plain.parameters()]
        check_alike(self.ranks, self.name, stops, rates, weights, self.size)
        self._seed_own_draws()

    def _seed_own_draws(self) -> None:
        """Let ranks beside the first draw by seed, rank and epoch: a checkpoint has the first one's generators only."""
        if self.ranks.rank == 0:
            return
        drawn = np.random.SeedSequence([self.seed, self.ranks.rank, len(self.net.history)]).generate_state(1)
        torch.default_generator.manual_seed(int(drawn[0]))
        device = net_device(self.net)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(int(drawn[0]))

    def read(self, total: Tensor) -> float:
        """The value of a scalar at the end of an epoch, and with it `size`, the sum of absolute values of weights."""
        trained = [weight.detach() for weight in self.plain.parameters() if weight.requires_grad]
        if not trained:
            self.size = None
            return float(total)
        weights = [torch.view_as_real(weight) if weight.is_complex() else weight for weight in trained]
        size = torch.stack([norm.to(total) for norm in torch._foreach_norm(weights, 1)]).sum()
        value, self.size = torch.stack([total, size]).tolist()  # sync: one read
        return value

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
        with attributes_set(self.net, {"infer": self._wrapped(x)}):
            try:
                yield
            except RuntimeError as error:
                if not str(error).startswith(LEFT_OUT):
                    raise
                raise RuntimeError(
                    f"{self.name} left some of its weights out of a training step, as layers skipped at random are: "
                    f"gradients of ranks then do not meet. Let each step use all weights, such as by a factor of 0 for "
                    f"what is skipped, or fit with distributed=False."
                ) from error

    def _wrapped(self, x: Tensor) -> nn.Module:
        """The modules in DistributedDataParallel, made anew when other weights are trained than before."""
        key = (id(self), *(weight.requires_grad for weight in self.plain.parameters()))
        if key not in self.ranks.modules:
            has_unused = self.ranks.any(has_unused_weights(self.net, self.plain, x))
            # BatchNorm in a compiled graph would not be synchronised
            modules = self.plain if self.norms.norms else self.modules
            self.ranks.modules[key] = wrapped(Inferring(self.net, modules), self.ranks, has_unused)
        return self.ranks.modules[key]


class Inferring(nn.Module):
    """Modules in the place of those of a net, as one module whose forward is the net's ``infer``.

    Parameters
    ----------
    net : skorch NeuralNet
    modules : nn.ModuleList
        The net's own, in the order of `all_modules`, or copies of them.
    """

    def __init__(self, net: NeuralNet, modules: nn.ModuleList) -> None:
        super().__init__()
        self.net, self.infer, self.in_place = net, net.infer, modules

    def forward(self, x: Tensor) -> Any:
        """What ``infer`` returns for views (B, ...)."""
        with attributes_set(self.net, dict(zip(named_modules(self.net), self.in_place, strict=True))):
            return self.infer(x)


@contextmanager
def attributes_set(net: NeuralNet, values: dict[str, Any]) -> Iterator[None]:
    """Inside, a net has other values of some attributes."""
    attributes = vars(net)
    before = {name: attributes[name] for name in values if name in attributes}
    attributes.update(values)
    try:
        yield
    finally:
        for name in values:
            del attributes[name]
        attributes.update(before)


def wrapped(module: nn.Module, ranks: Ranks, has_unused: bool) -> DistributedDataParallel:
    """The module in DistributedDataParallel; its buffers are the same anyway, for BatchNorm is synchronised."""
    with warnings.catch_warnings():  # torch 2.14 wants a name that earlier ones do not know
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        return DistributedDataParallel(
            module, broadcast_buffers=False, process_group=ranks.group, find_unused_parameters=has_unused
        )


def has_unused_weights(net: NeuralNet, modules: nn.ModuleList, x: Tensor) -> bool:
    """Whether trained weights of a net's modules have no part in its output for views ``x``; none is changed."""
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        probe = Inferring(net, copy.deepcopy(modules))
        for norm in [part for part in probe.modules() if isinstance(part, _BatchNorm)]:
            norm.eval()  # one row may be all there is
        output = probe(x)
        output = output[0] if isinstance(output, tuple) else output
        trained = [weight for weight in probe.parameters() if weight.requires_grad]
        found = torch.autograd.grad(output.float().sum(), trained, allow_unused=True)
    return any(gradient is None for gradient in found)
