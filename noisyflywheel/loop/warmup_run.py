"""The warm-up of a run (Sec. 4.1, Initialization): epochs on the given labels, until these no longer carry over."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from noisyflywheel.loop.decisions import view_strength, warmup
from noisyflywheel.loop.decisions.view_strength import Unseen
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.watch.guard import check_number
from noisyflywheel.nets.parallel.ranks import Ranks


class WarmUp:
    """The warm-up of both nets on the given labels, epoch by epoch; the flywheel says what is watched, and its end.

    Parameters
    ----------
    flywheel : Flywheel
        Before its first cycle.
    ranks : Ranks
        Processes that share the run; the first of them says when it is over.

    Attributes
    ----------
    epoch : int
        Epochs done.
    held_out : list of Tensor, or None
        Rows that each net leaves out, empty where members leave out their folds; None where nothing is watched, for
        the length is asked for or there are too few rows.
    records : list of Tensor
        `Flywheel.held_out_record` after each epoch, on the CPU.
    """

    def __init__(self, flywheel: Flywheel, ranks: Ranks) -> None:
        self.flywheel, self.ranks = flywheel, ranks
        self.epoch = 0
        self.records: list[Tensor] = []
        self._leave_out(flywheel.hold_out() if flywheel.settings.n_warmup_epochs == "auto" else None)

    def _leave_out(self, held_out: list[Tensor] | None) -> None:
        self.held_out, self.flywheel.has_held_out = held_out, held_out is not None

    def is_over(self) -> bool:
        """Whether it has its full length, or what the nets learn no longer carries over."""
        if self.epoch >= self._most_epochs():
            return True
        return self.ranks.of_first(lambda: self.flywheel.warm_up_is_over(self.records))

    def _most_epochs(self) -> int:
        asked = self.flywheel.settings.n_warmup_epochs
        if asked != "auto":
            return int(asked)
        return warmup.MIN_EPOCHS if self.held_out is None else self.flywheel.n_epochs_at_most

    def train_epoch(self) -> float:
        """One more epoch; returns f's mean loss."""
        loss = self.flywheel.warm_up_epoch(self.held_out)
        self.epoch += 1
        check_number("The loss", loss, f"warm-up epoch {self.epoch}")
        if self.held_out is not None:
            self.records.append(self.flywheel.held_out_record(self.held_out).cpu())
            self.flywheel.keep_best(self.records)
        return loss

    def try_views(self) -> Unseen | None:
        """What the rows left out say of the views, once it is over, by epochs with other views that are undone.

        None where no rows are left out, or in one epoch only. Nets with callbacks train no such epochs.
        """
        found = view_strength.best_of_warm_up(self.records)
        if found is None or not self.held_out or any(trainer.net.callbacks for trainer in self.flywheel.trainers):
            return found
        strengths = 1.0, view_strength.WEAKER, view_strength.STRONGEST
        tried = [self._record_after(strength) for strength in strengths]
        return self.ranks.of_first(lambda: view_strength.with_tried(found, *tried))

    def _record_after(self, strength: float) -> Tensor:
        """`Flywheel.held_out_record` after some more epochs with views of this strength, which are undone."""
        flywheel, held_out = self.flywheel, self.held_out or []
        before = flywheel.state_dict()
        flywheel.loader.views.strength = strength
        for _ in range(view_strength.TRIED_EPOCHS):
            flywheel.warm_up_epoch(held_out)
        record = flywheel.held_out_record(held_out).cpu()
        flywheel.load_state_dict(before)
        return record

    def state_dict(self) -> dict[str, Any]:
        """A checkpoint between two epochs."""
        now = {"phase": "warm-up", "snapshot": self.flywheel.state_dict()}
        return now | {"epoch": self.epoch, "held_out": self.held_out, "agreement": self.records}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go to where `state_dict` was called."""
        flywheel, device = self.flywheel, self.flywheel.given.device
        flywheel.load_state_dict(saved["snapshot"])
        held_out = saved["held_out"]
        self._leave_out(None if held_out is None else [rows.to(device) for rows in held_out])
        self.epoch, self.records = saved["epoch"], [record.cpu() for record in saved["agreement"]]
