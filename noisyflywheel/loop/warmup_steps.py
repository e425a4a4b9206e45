"""What a flywheel does in the warm-up (Sec. 4.1, Initialization); `WarmUp` does it epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from noisyflywheel.loop.decisions import warmup
from noisyflywheel.loop.parts import FlywheelParts
from noisyflywheel.loop.steps import Loss, weak_batches
from noisyflywheel.nets.trainer import Batch, Trainer


class WarmUpSteps(FlywheelParts):
    """The warm-up of a `noisyflywheel.loop.flywheel.Flywheel`: both nets on the given labels, and when it ends."""

    @property
    def n_epochs_at_most(self) -> int:
        """Length of the warm-up, if nothing ends it earlier."""
        return warmup.MAX_EPOCHS

    def warm_up_epoch(self, held_out: list[Tensor] | None = None) -> float:
        """Each net on the given labels of a cycle's rows, plain cross-entropy on weak views; returns f's mean loss.

        ``held_out`` has for each trainer the rows that it leaves out.
        """
        loss = 0.0
        for i, trainer in enumerate(self.trainers):
            among = self.all_rows[~torch.isin(self.all_rows, held_out[i])] if held_out else self.all_rows
            rows = self._draw_rows(among)
            loss = trainer.epoch(self.warm_up_steps(trainer, rows))
        return loss

    def warm_up_steps(self, trainer: Trainer, rows: Tensor) -> Iterator[Batch]:
        """Weak views against the given labels (Sec. 4.1, Initialization)."""

        def loss_of(index: Tensor, w: Tensor | None) -> Loss:
            return partial(trainer.warm_up_loss, target=self.given[index], sample_weight=w)

        return weak_batches(trainer, self.loader, rows, self.given, loss_of, self.training_weights)

    def hold_out(self) -> list[Tensor] | None:
        """Rows that each net leaves out of the warm-up; None where there are too few rows."""
        parts = warmup.hold_out(len(self.all_rows), len(self.trainers), self.loader.order)
        return None if parts is None else [self.all_rows[part.to(self.given.device)] for part in parts]

    def warm_up_is_over(self, records: list[Tensor]) -> bool:
        """Whether what the nets learn has stopped carrying over to the rows they leave out."""
        return warmup.is_over(records)

    def held_out_record(self, held_out: list[Tensor]) -> Tensor:
        """Whether each net predicts the given labels of the rows it left out: bool, (m,)."""
        parts = zip(self.trainers, held_out, strict=True)
        return torch.cat([self.loader.predict(t, rows).argmax(1) == self.given[rows] for t, rows in parts])

    def keep_best(self, records: list[Tensor]) -> None:
        """What is kept of the last epoch, by what was recorded of all so far: nothing, the nets go on as they are."""
