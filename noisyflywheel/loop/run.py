"""One run of the flywheel: start, warm-up, cycles, checkpoints, stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.state import Settings
from noisyflywheel.loop.warmup_run import WarmUp
from noisyflywheel.loop.watch.checkpoints import FitCheckpoints
from noisyflywheel.loop.watch.guard import Guard, cautious_settings, check_finite, warn_of_turning
from noisyflywheel.loop.watch.history import measured
from noisyflywheel.loop.watch.progress import FitProgress
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks

LONG = 60.0
"""Seconds without a checkpoint after which one is written inside a cycle."""


class CycleTask(Protocol):
    """Whoever follows the cycles from outside, such as scikit-learn's callbacks (`FitTask`)."""

    def cycle_begin(self) -> Any:
        """A cycle begins."""
        ...

    def cycle_end(self, task: Any) -> bool:
        """It ended; returns whether to stop."""
        ...


class FlywheelRun:
    """Runs one flywheel and keeps its history and its last good state.

    Parameters
    ----------
    flywheel : Flywheel
        As built.
    progress : FitProgress
        Shows epochs and cycles.
    checkpoints : FitCheckpoints
        Where the run leaves and finds its checkpoints.
    on_cycle : callable, optional
        Called as ``on_cycle(flywheel, row)``; a dict that it returns joins the history.
    ranks : Ranks
        Processes that share the run; what decides how it goes on they decide together.

    Attributes
    ----------
    history : list of dict
        One row per cycle, those of an earlier fit that ``warm_start`` continues included.
    n_cycles_done, n_cycles_planned : int
        Cycles of this fit so far, and in all as far as is known: another round adds some.
    n_warmup_epochs : int
        How long the warm-up was.
    last_good_state : dict or None
        ``state_dict`` of the flywheel after the last cycle that the guard let pass.
    guard : Guard or None
        Watches the cycles; None with ``guard=False``, folds, or without f.
    stopped : bool
        Whether the guard or a callback ended the cycles early.
    given_up : str or None
        Why the guard stopped the run, if it did.
    """

    def __init__(
        self,
        flywheel: Flywheel,
        progress: FitProgress,
        checkpoints: FitCheckpoints,
        on_cycle: Callable[..., dict[str, float] | None] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        self.flywheel, self.progress, self.checkpoints, self.on_cycle = flywheel, progress, checkpoints, on_cycle
        self.history: list[dict[str, float]] = []
        self.n_cycles_done, self.n_warmup_epochs = 0, 0
        self.n_cycles_planned = flywheel.settings.n_cycles
        self.stopped = False
        self.given_up: str | None = None
        self.guard: Guard | None = None
        self.last_good_state: dict[str, Any] | None = None
        self._so_far: dict[str, Any] | None = None  # of a cycle whose steps 1 to 4 are in the checkpoint

    # ---- to the first cycle

    def start(self, earlier: dict[str, Any] | None = None) -> None:
        """Come to the first cycle: from a checkpoint, from an earlier fit (see `kept`), or by the warm-up."""
        with self.checkpoints.trusting() as saved:
            resumed = self._resume(saved)
        if not resumed and earlier is not None:
            self._continue(earlier)
        elif not resumed:
            self._warm_up()
        if self.last_good_state is None:
            self._set_guard()
            self.last_good_state = self.flywheel.state_dict()
        self.progress.more(self.n_cycles_planned - self.flywheel.settings.n_cycles)
        self.progress.skip(self.n_cycles_done)

    def _continue(self, earlier: dict[str, Any]) -> None:
        self.flywheel.go_on_from(earlier["snapshot"])
        self.history.extend(earlier["history"])
        self.n_warmup_epochs = earlier["n_warmup_epochs"]

    def kept(self) -> dict[str, Any]:
        """What a later fit needs to go on from here."""
        return {
            "snapshot": self.flywheel.state_dict(),
            "history": list(self.history),
            "n_warmup_epochs": self.n_warmup_epochs,
        }

    def _warm_up(self) -> None:
        """Train both nets on the given labels, then set gamma and eps."""
        flywheel, warm_up = self.flywheel, WarmUp(self.flywheel, self.ranks)
        with self.checkpoints.trusting() as saved:
            if saved is not None:
                warm_up.load_state_dict(saved)
        while not warm_up.is_over():
            self.n_warmup_epochs = warm_up.epoch  # whole ones, should a callback stop the next
            loss = warm_up.train_epoch()
            self.progress.warm_up(warm_up.epoch, loss)
            if self.checkpoints.due():
                self.checkpoints.save(warm_up.state_dict())
        if flywheel.sets_view_strength:
            flywheel.unseen = warm_up.try_views()
        flywheel.start_cycles()
        self.progress.warm_up_done(warm_up.epoch)
        self.n_warmup_epochs = warm_up.epoch

    def _set_guard(self) -> None:
        flywheel, s = self.flywheel, self.flywheel.state
        if flywheel.settings.guard and flywheel.settings.refurbish and flywheel.is_guarded:
            given = s.given[flywheel.all_rows]
            self.guard = Guard.after_warm_up(given, flywheel.f_labels(), s.n_classes, s.gamma)

    # ---- the cycles

    def run_cycles(self, task: CycleTask) -> None:
        """Run the cycles that are left; check and record each, and write a checkpoint when it is time."""
        flywheel = self.flywheel
        while self.n_cycles_done < self.n_cycles_planned and not self.stopped:
            subtask = task.cycle_begin()
            so_far = self._so_far or flywheel.steps_to_resampling()
            if self.checkpoints.due(LONG):
                self.checkpoints.save(self.state_dict(so_far))
            row = flywheel.step_after_resampling(so_far)
            check_finite(row, flywheel.settings.refurbish)
            self._end_cycle(row, {} if self.on_cycle is None else measured(self.on_cycle(flywheel, row)))
            self.progress.cycle(row)
            self.stopped |= self.ranks.any(task.cycle_end(subtask))
            if self.stopped or self.n_cycles_done == self.n_cycles_planned or self.checkpoints.due():
                self.checkpoints.save(self.state_dict())

    def _end_cycle(self, row: dict[str, float], added: dict[str, Any]) -> None:
        """Record a cycle; where the guard complains about it, go back to the state before it."""
        flywheel = self.flywheel
        y_hat, had_ramped = flywheel.state.y_hat[flywheel.all_rows], flywheel.had_ramped
        complaint = self.guard and self.ranks.of_first(partial(self.guard.complaint, y_hat, row["gamma"], had_ramped))
        if self.guard and complaint:
            self._go_back(self.guard, complaint)
        self.history.append(row | added | {"undone": bool(complaint)})
        self.n_cycles_done += 1
        if self.n_cycles_done == self.n_cycles_planned:
            self._end_round()
        self._so_far = None
        self.last_good_state = flywheel.state_dict()

    def _end_round(self) -> None:
        """After the last cycle of a round: undo the round if it was for the worse, or begin another one if it paid."""
        flywheel = self.flywheel
        if flywheel.undo_round():
            for row in self.history[-flywheel.n_cycles_of_round :]:
                row["undone"] = True
        elif flywheel.begin_round():
            self.n_cycles_planned += flywheel.n_cycles_of_round
            self.progress.more(flywheel.n_cycles_of_round)

    def _go_back(self, guard: Guard, complaint: str) -> None:
        """Undo the last cycle, which still counts; go on with cautious settings, or stop the second time."""
        flywheel, before = self.flywheel, self.last_good_state
        cycle = flywheel.state.cycle
        assert before is not None  # since `start`
        flywheel.go_back_to(before)
        flywheel.second_start.cancel()
        if guard.has_gone_back:
            self.stopped, self.given_up = True, f"{complaint} in cycle {cycle} again"
            return
        guard.has_gone_back = True
        agreement = float((flywheel.f_labels() == flywheel.given[flywheel.all_rows]).double().mean())
        flywheel.settings = cautious_settings(flywheel.settings, agreement)
        if self.ranks.rank == 0:
            warn_of_turning(f"{complaint} in cycle {cycle}: went back to the state before it and on with care")

    def back_to_good(self) -> None:
        """Undo a cycle that was interrupted; its row of the history, if it had one by then, goes too."""
        if self.last_good_state is not None:
            self.flywheel.load_state_dict(self.last_good_state)
            del self.history[self.last_good_state["state"]["cycle"] :]

    # ---- checkpoints

    def state_dict(self, so_far: dict[str, Any] | None = None) -> dict[str, Any]:
        """Everything that decides how the run goes on: a checkpoint between two cycles or, with ``so_far``, inside one.

        ``so_far`` is what `Flywheel.steps_to_resampling` returned for the cycle that is under way.
        """
        return {
            "phase": "cycles",
            "so_far": so_far,
            "now": None if so_far is None else self.flywheel.state_dict(),
            "snapshot": self.last_good_state,
            "settings": asdict(self.flywheel.settings),
            "first_cycle": self.flywheel.first_cycle,
            "guard": None if self.guard is None else self.guard.state_dict(),
            "history": self.history,
            "n_cycles_done": self.n_cycles_done,
            "n_cycles_planned": self.n_cycles_planned,
            "stopped": self.stopped,
            "given_up": self.given_up,
            "n_warmup_epochs": self.n_warmup_epochs,
        }

    def _resume(self, saved: dict[str, Any] | None) -> bool:
        """Go to where `state_dict` was called; returns whether that was among the cycles."""
        if saved is None or saved["phase"] != "cycles":
            return False
        flywheel, device = self.flywheel, self.flywheel.given.device
        self.last_good_state = saved["snapshot"]
        so_far = saved["so_far"]
        flywheel.load_state_dict(saved["snapshot"] if so_far is None else saved["now"])
        flywheel.settings, flywheel.first_cycle = Settings(**saved["settings"]), saved["first_cycle"]
        self._so_far = None if so_far is None else so_far | {"rows": so_far["rows"].to(device)}
        self.guard = None if saved["guard"] is None else Guard.from_state_dict(saved["guard"], device)
        self.history[:] = saved["history"]
        self.n_cycles_done, self.stopped = saved["n_cycles_done"], saved["stopped"]
        self.given_up = saved.get("given_up")
        self.n_cycles_planned = saved.get("n_cycles_planned", flywheel.settings.n_cycles)
        self.n_warmup_epochs = saved["n_warmup_epochs"]
        return True
