"""What changes from cycle to cycle: learning rates, lambda, how g is calibrated, whether f is aligned, views."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from noisyflywheel.loop.decisions.decide import Decision
from noisyflywheel.loop.decisions.second_start import SecondStart
from noisyflywheel.loop.decisions.view_strength import Unseen, last_strength, next_strength
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.loop.schedules import HOLD, cr_weight_of_cycle, learning_rate_share
from noisyflywheel.loop.state import FlywheelState, Settings
from noisyflywheel.nets.trainer import Trainer


class FlywheelPlans:
    """What a `noisyflywheel.loop.flywheel.Flywheel` does in its next cycle, by how many cycles it has done."""

    hold = HOLD
    """Share of the cycles in which nets on vectors keep their learning rate, before the cosine begins."""
    settings: Settings
    state: FlywheelState
    trainers: list[Trainer]
    loader: ViewLoader
    first_cycle: int
    second_start: SecondStart
    decisions: list[Decision]
    unseen: Unseen | None

    @property
    def _n_in_all(self) -> int:
        """Cycles since the nets began, or began again, those of an earlier fit that this one continues included."""
        return self.state.cycle - self.second_start.at

    @property
    def _planned_in_all(self) -> int:
        """What `_n_in_all` is at the end."""
        return self.first_cycle + self.settings.n_cycles - self.second_start.at

    @property
    def n_since_start(self) -> int:
        """Cycles of this fit since the nets began, or began again."""
        return self.state.cycle - max(self.first_cycle, self.second_start.at)

    @property
    def _ramp(self) -> int:
        """Cycles over which lambda grows."""
        return self.second_start.ramp(self.settings.cr_ramp)

    @property
    def has_ramped(self) -> bool:
        """Whether the nets have trained for as many cycles as lambda takes to its full weight."""
        return self.n_since_start >= self._ramp

    @property
    def had_ramped(self) -> bool:
        """`has_ramped` as it was in the cycle that just ended."""
        return self.n_since_start > self._ramp

    def cr_weight(self) -> float:
        """lambda of this cycle."""
        return cr_weight_of_cycle(self._n_in_all, self.settings.cr_weight, self._ramp)

    def _schedule_learning_rates(self) -> None:
        """Cosine annealing over all cycles, those of an earlier fit that this one continues included."""
        share = learning_rate_share(self._n_in_all, self._planned_in_all, self.hold if self.loader.vectors else 0.0)
        for trainer in self.trainers:
            trainer.scale_lr(share)

    def _holds_gamma(self) -> bool:
        """Whether gamma is still taken from f's agreement with the given labels, as after the warm-up (Sec. 4.1).

        Until the regularizer has its full weight, g explains wrong labels nearly as well as right ones, above all those
        that depend on the class. The mean of q (Eq. 6) then runs to 1, the trivial solution of Sec. 3.1.
        """
        settings = self.settings
        return settings.calibrate == "auto" and settings.refurbish and self._n_in_all < self._ramp

    def _calibrates(self, is_overconfident: Callable[[], bool]) -> bool:
        """Whether g gets a temperature in this cycle: always, never, or by "auto" where it is overconfident.

        Where rounding differs between ranks the first one decides.
        """
        if self.settings.calibrate != "auto":
            return bool(self.settings.calibrate)
        return self._has_settled() and self.loader.ranks.of_first(is_overconfident)

    def _has_settled(self) -> bool:
        """Whether g's agreement with f already says how sure g may be, so that "auto" can go by it.

        With averaged weights it does from the first cycle on. Other nets sway, and their agreement with them, until the
        regularizer has its full weight.
        """
        settings = self.settings
        return settings.refurbish and (settings.average_epochs > 0 or self.has_ramped)

    @property
    def _aligns(self) -> bool:
        """Whether f's guess is aligned with the shares of the given labels in this cycle."""
        return self._n_in_all < self.settings.distribution_alignment * self._planned_in_all

    # ---- views

    @property
    def sets_view_strength(self) -> bool:
        """Whether the loop sets the strength of the views: not with ``cycle_size``, without f, or of views without."""
        decides = self.settings.cycle_size is None and self.settings.refurbish
        return decides and self.loader.views.strength is not None

    def _strength_reference(self) -> Unseen | None:
        """What the warm-up says of the strength of the views; None where the loop leaves it alone."""
        return self.unseen if self.sets_view_strength else None

    def _set_view_strength(self) -> None:
        """Set how strong the views of this cycle are, by f's agreement with the given labels after the last one."""
        s, unseen = self.state, self._strength_reference()
        if unseen is not None:
            found = partial(next_strength, s.view_strength, s.agreement, unseen, self.has_ramped)
            s.view_strength = self.loader.views.strength = self.loader.ranks.of_first(found)

    def _record_decisions(self) -> None:
        """Rows of ``decisions_``: the last strength, and both agreements that it came from; the second start."""
        unseen, second = self._strength_reference(), self.second_start.decision()
        if unseen is not None:
            self.decisions.append(last_strength(self.state.view_strength, self.state.agreement, unseen))
        if second is not None:
            self.decisions.append(second)
