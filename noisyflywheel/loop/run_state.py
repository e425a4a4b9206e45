"""Where a fit is: what it goes on from after an interruption, and what a checkpoint of it holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from noisyflywheel.loop import snapshot
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.guard import Guard
from noisyflywheel.loop.state import Settings


class Place:
    """Counts the cycles of one fit and keeps its last good state.

    Parameters
    ----------
    wheel : Flywheel
        As built.

    Attributes
    ----------
    history : list of dict
        One row per cycle, those of an earlier fit that ``warm_start`` continues included.
    turns : int
        Cycles of this fit that are done.
    stopped : bool
        Whether a callback or the guard ended the cycles early.
    half : dict or None
        First half of a cycle that a checkpoint was written in.
    warmup_epochs : int
        How long the warm-up was.
    """

    def __init__(self, wheel: Flywheel) -> None:
        self.wheel = wheel
        self.history: list[dict[str, float]] = []
        self.turns, self.warmup_epochs = 0, 0
        self.stopped = False
        self.guard: Guard | None = None
        self.good: dict[str, Any] | None = None
        self.half: dict[str, Any] | None = None

    def begin_cycles(self) -> None:
        """After the warm-up; nothing to do after `resume`."""
        if self.good is not None:
            return
        if self.guard is None and self.wheel.settings.guard and self.wheel.settings.refurbish:
            self.guard = Guard(self.wheel)
        self.good = snapshot.take(self.wheel) if self.guard is None else self.guard.good

    def end_cycle(self, row: dict[str, float]) -> None:
        """Record a cycle; the guard may put back the state before it, or stop."""
        self.history.append(row)
        self.turns += 1
        self.half = None
        if self.guard is None:
            self.good = snapshot.take(self.wheel)
            return
        self.stopped |= not self.guard.allows(row)
        self.good = self.guard.good

    def back_to_good(self) -> None:
        """Undo a cycle that was interrupted."""
        if self.good is not None:
            snapshot.put_back(self.wheel, self.good)

    def state(self, half: dict[str, Any] | None = None) -> dict[str, Any]:
        """Everything that decides how the fit goes on, between two cycles or inside one, after its first half."""
        return {
            "phase": "cycles",
            "half": half,
            "now": None if half is None else snapshot.take(self.wheel),
            "snapshot": self.good,
            "settings": asdict(self.wheel.settings),
            "first_cycle": self.wheel.first_cycle,
            "guard": None if self.guard is None else self.guard.state_dict(),
            "history": self.history,
            "turns": self.turns,
            "stopped": self.stopped,
            "warmup_epochs": self.warmup_epochs,
        }

    def resume(self, saved: dict[str, Any] | None) -> bool:
        """Go to a place that `state` described; returns whether there was one among the cycles."""
        if saved is None or saved["phase"] != "cycles":
            return False
        snapshot.put_back(self.wheel, saved["snapshot"])
        self.wheel.settings = Settings(**saved["settings"])
        self.wheel.go_on_from(saved["first_cycle"])
        self.good = saved["snapshot"]
        if saved["guard"] is not None:
            self.guard = Guard(self.wheel)
            self.guard.load_state_dict(saved["guard"])
            self.good = self.guard.good
        if saved["half"] is not None:
            snapshot.put_back(self.wheel, saved["now"])
            self.half = saved["half"] | {"rows": saved["half"]["rows"].to(self.wheel.given.device)}
        self.history[:] = saved["history"]
        self.turns, self.stopped = saved["turns"], saved["stopped"]
        self.warmup_epochs = saved["warmup_epochs"]
        return True
