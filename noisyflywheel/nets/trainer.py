"""One skorch net, driven batch by batch under its own callbacks, without a host sync per step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from skorch.utils import TeeGenerator
from torch import Tensor, nn

from noisyflywheel.data import Source
from noisyflywheel.data.devices import float64_device
from noisyflywheel.nets.average import WeightAverage
from noisyflywheel.nets.criterion import output_kind, warm_up_loss
from noisyflywheel.nets.devices import net_device
from noisyflywheel.nets.features import Features
from noisyflywheel.nets.memory import naming_batch_size
from noisyflywheel.nets.netstate import net_state, restore_net
from noisyflywheel.nets.prepare import listens
from noisyflywheel.nets.stopping import StopTraining, stopping_callbacks

TINY = 1e-30


class Batch(NamedTuple):
    """One step of an M-step: the views, the given labels for the user's callbacks, and the loss."""

    x: Tensor
    labels: Tensor
    loss: Callable[[Tensor], Tensor]
    """From the log-probabilities (B, K) of ``x``, on the device of ``labels``, to a scalar."""
    more: int = 0
    """Rows beside ``x`` that the loss sends through the net."""


class Trainer:
    """Drives one initialised skorch net.

    Parameters
    ----------
    net : skorch NeuralNet
        Initialised; its module, optimizer, callbacks and device are used as they are.
    amp : bool
        Whether forwards run under bf16 autocast; losses are float32 either way.
    feature_layer : str
        See `Features`.
    scheduled : bool
        Whether `scale_lr` acts: True for default nets; users' nets keep their own learning rate and schedule.
    """

    def __init__(self, net: NeuralNet, amp: bool = False, feature_layer: str = "auto", scheduled: bool = False) -> None:
        self.net = net
        self.scheduled = scheduled
        self.average: WeightAverage | None = None
        self.images_seen = 0
        self.device = net_device(net)
        self.kind = output_kind(net)
        self.warm_up_loss = warm_up_loss(net)
        self.amp = amp
        self.features = Features(net.module_, feature_layer)
        self._base_lr = [group["lr"] for group in net.optimizer_.param_groups]
        self._hears_batches = listens(net, "on_batch_begin", "on_batch_end")
        self._hears_gradients = listens(net, "on_grad_computed")

    def autocast(self) -> AbstractContextManager:
        """The precision of forwards."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.amp else nullcontext()

    def scale_lr(self, factor: float) -> None:
        """Set the learning rate to ``factor`` times the net's own, if it is scheduled here."""
        if not self.scheduled:
            return
        for group, base in zip(self.net.optimizer_.param_groups, self._base_lr, strict=False):
            group["lr"] = base * factor

    def add_module(self, module: nn.Module) -> None:
        """Let the net's optimizer also train ``module`` (the head of the contrastive loss)."""
        self.net.optimizer_.add_param_group({"params": list(module.parameters())})
        self._base_lr.append(self.net.optimizer_.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Modules, optimizers, schedules, callbacks, history and averages, copied."""
        return {
            "net": copy.deepcopy(net_state(self.net)),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        restore_net(self.net, saved["net"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])

    def forward(self, x: Tensor) -> Tensor:
        """The module's output for views ``x``, float32, shape (B, K)."""
        with self.autocast():
            output = self.net.infer(x)
        output = output[0] if isinstance(output, tuple) else output
        return output.float()

    def log_probs(self, output: Tensor) -> Tensor:
        """Log-probabilities (B, K) of the module's output, by skorch's ``predict_nonlinearity`` rule.

        A module with members, such as `noisyflywheel.backbones.FoldedMLP`, gives (M, B, K) in training.
        """
        if self.kind == "logits":
            return torch.log_softmax(output, -1)
        if self.kind == "log_probabilities":
            return output
        if self.kind == "custom":
            output = self.net._get_predict_nonlinearity()(output)
        return torch.log(output.clamp_min(TINY))

    def epoch(self, steps: Iterable[Batch]) -> float:
        """Train on the batches of one epoch and return the mean loss (one host sync, at the end)."""
        net = self.net
        self._notify("on_epoch_begin", dataset_train=None, dataset_valid=None)
        net._set_training(True)
        total = torch.zeros((), device=self.device)
        count = 0
        with naming_batch_size(net.batch_size, "training"):
            for batch in steps:
                total += self._step(batch)
                self.images_seen += len(batch.x) + batch.more
                if self.average is not None:
                    self.average.update()
                count += 1
        mean = float(total) / max(count, 1)  # sync: one scalar an epoch
        net.history.record("train_loss", mean)
        net.history.record("train_batch_count", count)
        self._notify("on_epoch_end", dataset_train=None, dataset_valid=None)
        return mean

    def _step(self, batch: Batch) -> Tensor:
        """One optimizer step; returns the loss, detached and still on the device."""
        net = self.net
        pair = (batch.x, batch.labels)
        if self._hears_batches:
            self._notify("on_batch_begin", batch=pair, training=True)
        first: list[Tensor] = []

        def closure() -> Tensor:  # optimizers such as LBFGS call it several times
            net._zero_grad_optimizer()
            output = self.forward(batch.x)
            log_p = self.log_probs(output).to(batch.labels.device)  # (B, K); moves where float64 is on the host
            loss = batch.loss(log_p)
            loss.backward()
            if self._hears_gradients:
                named = TeeGenerator(net.get_all_learnable_params())
                self._notify("on_grad_computed", named_parameters=named, batch=pair, training=True)
            first.extend(() if first else (loss.detach(), output.detach()))
            return loss

        net._step_optimizer(closure)
        if self._hears_batches:
            self._notify("on_batch_end", batch=pair, training=True, loss=first[0], y_pred=first[1])
        return first[0]

    def _notify(self, event: str, **kwargs: object) -> None:
        try:
            self.net.notify(event, **kwargs)
        except KeyboardInterrupt as stop:
            names, epoch = stopping_callbacks(self.net, stop), len(self.net.history)
            raise StopTraining(f"{names} of a net stopped the training in {event}, epoch {epoch}") from stop

    def begin(self) -> None:
        """Tell the net's callbacks that training begins."""
        self._notify("on_train_begin", X=None, y=None)

    def end(self) -> None:
        """Tell the net's callbacks that training is over."""
        self._notify("on_train_end", X=None, y=None)

    @torch.inference_mode()
    def predict(
        self,
        source: Source,
        view: Callable[[Tensor], Tensor],
        rows: Tensor,
        batch_size: int,
        pad: bool = False,
    ) -> Tensor:
        """Log-probabilities of rows in eval mode, shape (len(rows), K), float32, where float64 of the device lives.

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
            how many others are asked for, to the last bit.
        """
        return torch.cat(list(self.predict_parts(source, view, rows, batch_size, pad)))

    @torch.inference_mode()
    def predict_parts(
        self,
        source: Source,
        view: Callable[[Tensor], Tensor],
        rows: Tensor,
        batch_size: int,
        pad: bool = False,
    ) -> Iterator[Tensor]:
        """`predict` in parts of ``batch_size`` rows, each where float64 of the device lives."""
        self.net._set_training(False)
        averaged = self.average.swapped() if self.average is not None else nullcontext()
        with averaged, naming_batch_size(batch_size, "prediction"):
            for log_p in self._predict(source, view, rows, batch_size, pad):
                yield log_p.to(float64_device(self.device))

    @torch.inference_mode()
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
        parts = []
        with naming_batch_size(batch_size, "prediction"):
            columns = rows.split(batch_size, dim=1)
            for index, raw in zip(columns, source.stream(index.flatten() for index in columns), strict=True):
                x = view(raw).to(self.device)
                with self.autocast():
                    output = self.net.module_.apart(x.unflatten(0, index.shape), kept)
                parts.append(self.log_probs(output.float()))
        return torch.cat(parts, 1).to(float64_device(self.device))

    def _predict(
        self, source: Source, view: Callable[[Tensor], Tensor], rows: Tensor, batch_size: int, pad: bool
    ) -> Iterator[Tensor]:
        batches = rows.split(batch_size)
        for index, raw in zip(batches, source.stream(batches), strict=True):
            x = view(raw).to(self.device)
            if pad and len(index) < batch_size:
                x = torch.cat([x, x[-1:].expand(batch_size - len(index), *x.shape[1:])])  # (batch_size, ...)
            yield self.log_probs(self.forward(x))[: len(index)]
