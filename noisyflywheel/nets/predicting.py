"""What a net says of rows: forwards in eval mode, batch by batch, shared among the ranks of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from noisyflywheel.data import Source
from noisyflywheel.data import batches as batches_of
from noisyflywheel.data.devices import float64_device
from noisyflywheel.nets.average import WeightAverage
from noisyflywheel.nets.layout import in_usual_order, is_channels_last
from noisyflywheel.nets.memory import naming_batch_size
from noisyflywheel.nets.modules import all_modules
from noisyflywheel.nets.parallel.ranks import Ranks
from noisyflywheel.nets.parallel.turns import Turns

TINY = 1e-30
"""Probability of what a module holds impossible, whose logarithm would be infinite."""


class Predicting:
    """Forwards of one initialised skorch net; what `Trainer` is besides training."""

    net: NeuralNet
    device: torch.device
    kind: str
    """What the module returns, see `output_kind`."""
    amp: bool
    average: WeightAverage | None
    ranks: Ranks

    def autocast(self) -> AbstractContextManager:
        """The precision of forwards."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.amp else nullcontext()

    def laid_out(self, x: Tensor) -> Tensor:
        """Views (B, ...) as the module takes them: pictures channels last where its weights are."""
        return x if x.ndim != 4 or is_channels_last(self.net.module_) else in_usual_order(x)

    def forward(self, x: Tensor, **more: Tensor) -> Tensor:
        """The module's output for views ``x``, float32, shape (B, K); ``more`` is handed to the module."""
        with self.autocast():
            output = self.net.infer(self.laid_out(x), **more)
        output = output[0] if isinstance(output, tuple) else output
        return output.float()

    def log_probs(self, output: Tensor) -> Tensor:
        """Log-probabilities (B, K) of the module's output, by skorch's ``predict_nonlinearity`` rule.

        They are finite: a class that a module rules out, by a logit of -inf say, has the probability `TINY`. A module
        with members, such as `noisyflywheel.backbones.FoldedMLP`, gives (M, B, K) in training.
        """
        if self.kind == "logits":
            return _finite(torch.log_softmax(output, -1))
        if self.kind == "log_probabilities":
            return _finite(output)
        if self.kind == "custom":
            output = self.net._get_predict_nonlinearity()(output)
        return torch.log(output.clamp_min(TINY))

    @torch.no_grad()
    def predict_parts(
        self,
        source: Source,
        view: Callable[[Tensor], Tensor],
        rows: Tensor,
        batch_size: int,
        pad: bool = False,
        everywhere: bool = False,
    ) -> Iterator[Tensor]:
        """Log-probabilities of rows in eval mode, in parts (b, K), float32, where float64 of the device lives.

        Parameters
        ----------
        source : Source
            Where the rows come from.
        view : callable
            From a batch of rows to views.
        rows : Tensor of shape (m,), int64
            Which rows.
        batch_size : int, positive
            Rows a forward.
        pad : bool
            Whether each forward has exactly ``batch_size`` rows: the output of a row then does not depend on
            how many others are asked for, to the last bit. Where a module `normalises_by_batch` copies would count: it
            gets some of a single row only, with which it could do nothing.
        everywhere : bool
            Whether each rank makes the views of all rows, also of those that others predict: generators of views then
            stay the same.
        """
        self.net._set_training(False)
        by_batch = normalises_by_batch(all_modules(self.net))
        averaged = self.average.swapped() if self.average is not None else nullcontext()
        with averaged, naming_batch_size(batch_size, "prediction"):
            batches = list(batches_of(rows, batch_size)) if by_batch else rows.split(batch_size)
            padded = batch_size if pad and not (by_batch and len(rows) > 1) else 0
            turns = Turns([len(index) for index in batches], self.ranks)
            outputs = self._outputs(source, view, batches, turns.own, padded, everywhere)
            for log_p in turns.in_order(outputs):
                yield log_p.to(float64_device(self.device))
            for _ in outputs:  # views that are left to be made
                pass

    @torch.no_grad()
    def predict_apart(
        self, source: Source, view: Callable[[Tensor], Tensor], rows: Tensor, batch_size: int, kept: bool = False
    ) -> Tensor:
        """Log-probabilities in eval mode of each member of the module on rows of its own.

        Parameters
        ----------
        rows : Tensor of shape (M, s), int64
            Which rows for which member.
        batch_size : int, positive
            Columns of ``rows`` of one forward.
        kept : bool
            Ask the members that the module keeps instead, of which there are twice as many.

        Returns
        -------
        Tensor of shape (M, s, K), float32, where float64 of the device lives
        """
        self.net._set_training(False)
        columns = rows.split(batch_size, dim=1)
        turns = Turns([index.shape[1] for index in columns], self.ranks)
        own = [columns[i] for i in turns.own]

        def outputs() -> Iterator[Tensor]:  # (b, M, K)
            for index, raw in zip(own, source.stream(index.flatten() for index in own), strict=True):
                x = view(raw).to(self.device)
                with self.autocast():
                    output = self.net.module_.apart(x.unflatten(0, index.shape), kept)
                yield self.log_probs(output.float()).transpose(0, 1)

        with naming_batch_size(batch_size, "prediction"):
            parts = list(turns.in_order(outputs()))
        return torch.cat(parts).transpose(0, 1).to(float64_device(self.device))

    def _outputs(
        self,
        source: Source,
        view: Callable[[Tensor], Tensor],
        batches: Sequence[Tensor],
        own: list[int],
        padded: int,
        everywhere: bool,
    ) -> Iterator[Tensor]:
        """Log-probabilities of the ``own`` ones among batches of row indices; views of the others where asked for."""
        read, mine = list(range(len(batches))) if everywhere else own, set(own)
        for i, raw in zip(read, source.stream([batches[i] for i in read]), strict=True):
            x = view(raw).to(self.device)
            if i not in mine:
                continue
            n = len(x)
            if n < padded:
                x = torch.cat([x, x[-1:].expand(padded - n, *x.shape[1:])])  # (padded, ...)
            yield self.log_probs(self.forward(x))[:n]


def normalises_by_batch(module: nn.Module) -> bool:
    """Whether a module has a norm that takes mean and variance from the rows of a batch in eval mode too."""
    return any(isinstance(part, _BatchNorm) and part.running_mean is None for part in module.modules())


def _finite(log_p: Tensor) -> Tensor:
    """Log-probabilities with that of `TINY` for -inf; NaN stays."""
    return torch.nan_to_num(log_p, nan=math.nan, posinf=math.inf, neginf=math.log(TINY))
