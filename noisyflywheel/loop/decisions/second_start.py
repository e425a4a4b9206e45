"""The second start of one net on all rows: from the nets of the warm-up once more, knowing how classes are labelled.

After the warm-up nothing is known of T_c, and eps is 1/K (Sec. 4.1). Where one wrong label is nearly as frequent in a
class as the right one, it happens to be the more frequent one in a group of rows that look alike. f then takes it for
their class, and is sure of that before T_c can tell that this class is never labelled as they are; later no single row
changes its mind. With T_c known from the start such a group finds its class. Where two classes are taken for each other
T_c cannot tell either, and the nets go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from noisyflywheel.em.counts import class_counts
from noisyflywheel.loop.decisions.decide import Decision

FIRST_SHARE = 0.3
"""Least share of the cycles before the second start: T and T_c have settled then, if lambda has its full weight."""

KEPT = 10
"""Cycles after it that keep T and T_c as they were, at least, or as many as lambda's usual ramp has: f is unsure in
these, and so would they be. lambda rises over as many at most: there is no T to wait for."""

NEARLY = 0.4
"""From this `rival_frequency` on: one in thirty groups of twenty rows that have the right label or the first wrong one
then has no more of the right ones, one in four where two labels in five are wrong."""

SOME_ROWS = 0.1
"""Share of the rows that such labels have to concern."""


def cycles_before(n_cycles: int, ramp: int) -> int:
    """Cycles before the second start, by lambda's ramp; 0, none, where less than half of ``n_cycles`` would follow."""
    first = max(int(FIRST_SHARE * n_cycles), ramp)
    return first if first <= n_cycles // 2 else 0


class SecondStart:
    """When the nets begin again, and from what.

    Parameters
    ----------
    n_first : int
        Cycles before it; 0 where there is none.

    Attributes
    ----------
    at : int
        Cycles done when the nets began again; 0 before.
    beginning : dict or None
        State of the flywheel after its warm-up, until it is decided; nothing changes it.
    frequency : float or None
        `rival_frequency` when it was decided.
    """

    def __init__(self, n_first: int = 0) -> None:
        self.n_first, self.at = n_first, 0
        self.beginning: dict[str, Any] | None = None
        self.frequency: float | None = None

    def remember(self, state_dict: Callable[[], dict[str, Any]]) -> None:
        """Keep the state after the warm-up, if it may be needed."""
        if self.n_first > 0:
            self.beginning = state_dict()

    def cancel(self) -> None:
        """No second start: the cycles so far were held back, what they found is not to be relied on."""
        self.beginning = None

    def is_due(self, cycle: int) -> bool:
        """Whether it is to be decided now, after so many cycles."""
        return self.beginning is not None and cycle == self.n_first

    def decide(self, frequency: float) -> dict[str, Any] | None:
        """What to begin again from, or None, by the `rival_frequency`; from then on nothing is remembered."""
        beginning, self.beginning, self.frequency = self.beginning, None, frequency
        return beginning if frequency >= NEARLY else None

    def begun(self, cycle: int) -> dict[str, Any]:
        """`state_dict` once the nets are at their beginning again, after so many cycles."""
        return self.state_dict() | {"at": cycle}

    def keeps_matrices(self, cycle: int, usual_ramp: int) -> bool:
        """Whether T and T_c of the first cycles stand in the cycle after ``cycle`` others, by lambda's usual ramp."""
        return self.at > 0 and cycle - self.at < max(KEPT, usual_ramp)

    def ramp(self, usual: int) -> int:
        """Cycles over which lambda grows: ``usual``, and after the second start `KEPT` at most."""
        return min(usual, KEPT) if self.at > 0 else usual

    def decision(self) -> Decision | None:
        """A row of ``decisions_``, where it was decided."""
        if self.frequency is None:
            return None
        reason = f"wrong labels of a class gather on one: {self.frequency:.2f} of its right ones"
        return Decision("second start", f"after cycle {self.at}" if self.at else "none", reason)

    def state_dict(self) -> dict[str, Any]:
        """Plain values, and what is remembered, which is not copied."""
        return dict(vars(self))

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        vars(self).update(saved)


def rival_frequency(transition: Tensor, labels: Tensor, sample_weight: Tensor | None = None) -> float:
    """How frequent the wrong label is that tells most of a true class, beside the right one, at most 1.

    A wrong label tells of a class as far as it is more frequent there than the other wrong ones, and than rows of the
    class that it names are labelled as this one: 0 for errors that favour no class, and for classes that are taken for
    each other alike. Of all classes it is the least of those that a tenth of the ``labels`` (B,) are of, or more.
    ``transition`` has shape (K, K), rows = true class, ``sample_weight`` (B,).
    """
    right = transition.diagonal()
    wrong = transition - right.diag()
    others = (wrong.sum(1, keepdim=True) - wrong) / max(len(right) - 2, 1)
    of_class = ((wrong - wrong.T - others).amax(1) / right.clamp_min(1e-12)).clamp(0.0, 1.0)
    counts = class_counts(labels, len(right), sample_weight).to(right.dtype)
    frequency, order = of_class.sort(descending=True)
    enough = counts[order].cumsum(0) >= SOME_ROWS * counts.sum()
    return float(frequency[enough].amax())  # sync: one scalar a fit
