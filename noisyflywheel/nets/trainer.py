"""One skorch net, driven batch by batch under its own callbacks, without a host sync per step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from skorch.utils import TeeGenerator
from torch import Tensor, nn

from noisyflywheel.nets.attributes import ChangedAttributes
from noisyflywheel.nets.average import WeightAverage
from noisyflywheel.nets.criterion import output_kind, warm_up_loss
from noisyflywheel.nets.devices import net_device
from noisyflywheel.nets.features import Features
from noisyflywheel.nets.frozen import check_trains
from noisyflywheel.nets.memory import naming_batch_size
from noisyflywheel.nets.netstate import OF_ONE_FIT, copied, net_state, own_attributes, restore_net
from noisyflywheel.nets.parallel.gradients import gather
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks
from noisyflywheel.nets.parallel.shares import WHOLE, Shares
from noisyflywheel.nets.parallel.training import SharedTraining
from noisyflywheel.nets.predicting import Predicting
from noisyflywheel.nets.prepare import listens
from noisyflywheel.nets.stopping import StopTraining, stopping_callbacks


class Batch(NamedTuple):
    """One step of an M-step: the views, the given labels for the user's callbacks, and the loss."""

    x: Tensor
    labels: Tensor
    loss: Callable[[Tensor], Tensor]
    """From the log-probabilities (B, K) of ``x``, on the device of ``labels``, to a scalar."""
    more: int = 0
    """Rows beside ``x`` that the loss sends through the net."""
    shares: Shares = WHOLE
    """Whether ``x`` is the whole batch, or this rank's share of it."""
    weights: Tensor | None = None
    """Of the rows in the loss: (B,), or (M, B) for each member of the module."""


class Trainer(Predicting):
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
    ranks : Ranks
        Processes that share training steps and predictions.
    seed : int
        Of what ranks beside the first draw inside the net, such as dropout.
    name : str
        "main_net" or "aux_net", for messages.
    """

    def __init__(
        self,
        net: NeuralNet,
        amp: bool = False,
        feature_layer: str = "auto",
        scheduled: bool = False,
        ranks: Ranks = ALONE,
        seed: int = 0,
        name: str = "the net",
    ) -> None:
        self.net, self.ranks, self.name = net, ranks, name
        self.shared = None if ranks.alone else SharedTraining(net, ranks, name, seed)
        self.scheduled = scheduled
        self.average: WeightAverage | None = None
        self.images_seen = 0
        self.attributes: ChangedAttributes | None = None
        self._stop: StopTraining | None = None
        self.device = net_device(net)
        self.kind = output_kind(net)
        self.warm_up_loss = warm_up_loss(net)
        self.amp = amp
        self.features = Features(net.module_, feature_layer, net.infer)
        self._base_lr = [group["lr"] for group in net.optimizer_.param_groups]
        self._hears_batches = listens(net, "on_batch_begin", "on_batch_end")
        self._hears_gradients = listens(net, "on_grad_computed")

    def scale_lr(self, factor: float) -> None:
        """Set the learning rate to ``factor`` times the net's own, if it is scheduled here."""
        if not self.scheduled:
            return
        for group, base in zip(self.net.optimizer_.param_groups, self._base_lr, strict=False):
            group["lr"] = base * factor

    def add_module(self, module: nn.Module) -> None:
        """Let the net's optimizer also train ``module`` (the head of the contrastive loss), in its last group.

        A group of its own would be one that schedules with a value for each group do not know of.
        """
        self.net.optimizer_.param_groups[-1]["params"].extend(module.parameters())

    def state_dict(self) -> dict[str, Any]:
        """Modules, optimizers, schedules, callbacks, history and averages, copied."""
        return {
            "net": copied(net_state(self.net)),
            "average": None if self.average is None else self.average.state_dict(),
            "attributes": {} if self.attributes is None else self.attributes.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        if self.attributes is not None and "attributes" in saved:  # files of earlier versions have none
            self.attributes.load_state_dict(saved["attributes"])
        restore_net(self.net, saved["net"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])

    @staticmethod
    def of_another_fit(saved: dict[str, Any]) -> dict[str, Any]:
        """What `state_dict` returned without what a fit sets by its own parameters, which may be others."""
        net = {name: part for name, part in saved["net"].items() if name not in OF_ONE_FIT}
        return {name: part for name, part in saved.items() if name != "attributes"} | {"net": net}

    def epoch(self, steps: Iterable[Batch]) -> float:
        """Train on the batches of one epoch and return the mean loss (one host sync, at the end)."""
        net = self.net
        self._notify_within("on_epoch_begin", dataset_train=None, dataset_valid=None)
        check_trains(net, self.name)  # callbacks may freeze weights
        if not self._hears_batches:
            net.history.new_batch()  # skorch's Checkpoint asks for the last one of an epoch
        net._set_training(True)
        if self.shared is not None:
            self.shared.begin_epoch(self._stop is not None)
        total = torch.zeros((), device=self.device)
        count = 0
        with naming_batch_size(net.batch_size, "training"):
            for batch in steps:
                with self.ranks.watched("a training step"):
                    total += self._step(batch)
                self.images_seen += len(batch.x) + batch.more
                if self.average is not None:
                    self.average.update()
                count += 1
        loss = float(total) if self.shared is None else self.shared.read(total)  # sync: one read an epoch
        mean = loss / max(count, 1)
        net.history.record("train_loss", mean)
        net.history.record("train_batch_count", count)
        self._notify_within("on_epoch_end", dataset_train=None, dataset_valid=None)
        self._stop_together("the end of an epoch")
        return mean

    def _stop_together(self, when: str) -> None:
        """Where a callback of one rank has stopped the training, it stops on all of them."""
        stop, self._stop = self._stop, None
        messages = self.ranks.everyones(stop and str(stop), when)
        if stop is not None:
            raise stop
        for message in filter(None, messages):
            raise StopTraining(message)

    def _step(self, batch: Batch) -> Tensor:
        """One optimizer step; returns the loss, detached and still on the device."""
        net = self.net
        pair = self._own_pair(batch)
        if self._hears_batches:
            self._notify_within("on_batch_begin", batch=pair, training=True)
        first: list[Tensor] = []

        def closure() -> Tensor:  # optimizers such as LBFGS call it several times
            if not net.module_.training:
                net._set_training(True)  # a callback has predicted
            net._zero_grad_optimizer()
            output, log_p = self._training_forward(batch)
            loss = batch.loss(log_p.to(batch.labels.device))  # (B, K); moves where float64 is on the host
            loss.backward()
            if self._hears_gradients:
                named = TeeGenerator(net.get_all_learnable_params())
                self._notify_within("on_grad_computed", named_parameters=named, batch=pair, training=True)
            first.extend(() if first else (loss.detach(), output.detach()))
            return loss

        net._step_optimizer(closure)
        if self._hears_batches:
            self._notify_within("on_batch_end", batch=pair, training=True, loss=first[0], y_pred=first[1])
        return first[0]

    def _training_forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The module's output of this process's rows, and log-probabilities of the whole batch."""
        if self.shared is None:
            output = self.forward(batch.x, **self._who_trains(batch))
            return output, self.log_probs(output)
        x, sizes = self.shared.share(self.laid_out(batch.x), batch.shares)
        with self.shared.forwards(x), self.shared.norms.on():
            output = self.forward(x)
        return output, gather(self.log_probs(output), self.ranks, sizes, dim=-2)

    def _who_trains(self, batch: Batch) -> dict[str, Tensor]:
        """For a module whose members skip rows without weight: (M, B), whether a member trains on a row."""
        if batch.weights is None or not getattr(self.net.module_, "only_own", False):
            return {}
        return {"trains": batch.weights > 0}

    def features_of(self, views: list[Tensor], shares: Shares = WHOLE) -> Tensor:
        """Features of all rows of several views of a batch, one view after the other: (B * views, d)."""
        if self.shared is None:
            return self.features(self.laid_out(torch.cat(views)))
        parts = [self.shared.share(view, shares, len(views)) for view in views]
        with self.shared.norms.on():
            own = self.features(self.laid_out(torch.cat([x for x, _ in parts]))).chunk(len(views))
        return torch.cat([gather(z, self.ranks, found) for z, (_, found) in zip(own, parts, strict=True)])

    def _own_pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Views and given labels of this process's rows, for callbacks."""
        if self.shared is None:
            return batch.x, batch.labels
        x, sizes = self.shared.share(batch.x, batch.shares)
        return x, batch.labels.split(sizes)[self.ranks.rank]

    def _notify(self, event: str, **kwargs: object) -> None:
        try:
            self.net.notify(event, **kwargs)
        except KeyboardInterrupt as stop:
            names, epoch = stopping_callbacks(self.net, stop), len(self.net.history)
            raise StopTraining(f"{names} of a net stopped the training in {event}, epoch {epoch}") from stop

    def _notify_within(self, event: str, **kwargs: object) -> None:
        """`_notify` of what several ranks share: it goes on to its end, where they stop together."""
        try:
            self._notify(event, **kwargs)
        except StopTraining as stop:
            if self.ranks.alone:
                raise
            self._stop = self._stop or stop

    def begin(self) -> None:
        """Tell the net's callbacks that training begins."""
        self._notify_within("on_train_begin", X=None, y=None)
        self.attributes = own_attributes(self.net)
        self._stop_together("the beginning of the training")

    def end(self) -> None:
        """Tell the net's callbacks that training is over."""
        self._notify("on_train_end", X=None, y=None)
