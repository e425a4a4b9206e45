"""Rounds of cycles: whether the cycles of a fit with folds, once done, are followed by more.

On few rows whose classes are easy to tell apart, labels corrected in one round let the next one correct more; elsewhere
one round is enough, or too much. The given labels of unseen rows (out of fold) decide: another round follows if the
last one clearly won some, that is, the nets now predict more of them than before; and a round that lost some is undone.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from noisyflywheel.loop.decisions.decide import Decision, compare

MOST_ROUNDS = 2
"""Most rounds, with ``n_cycles="auto"``: with four the results on the twenty tables of docs/constants.md are the same,
and other fits take longer."""

LATER_SHARE = 0.5
"""Length of the later rounds, as a share of the first one's cycles."""

WORTH = 3.0
"""Labels of unseen rows that a round has to win, less those it loses, for another one to follow; in standard deviations
of chance (`sign_test`)."""


def later_length(n_cycles: int) -> int:
    """Cycles of a later round, where the first one has ``n_cycles``."""
    return max(1, int(LATER_SHARE * n_cycles))


def most_cycles(n_cycles: int, n_rounds: int) -> int:
    """Cycles of so many rounds, where the first one has ``n_cycles``."""
    return n_cycles + (n_rounds - 1) * later_length(n_cycles)


class Rounds:
    """The rounds so far.

    Attributes
    ----------
    n : int
        Rounds begun.
    start : int
        Cycles before the last one.
    before : dict or None
        State of the flywheel before the last one.
    decisions : list of Decision
        One for each round that ended.
    """

    def __init__(self) -> None:
        self.n, self.start = 1, 0
        self.before: dict[str, Any] | None = None
        self.decisions: list[Decision] = []

    def length(self, n_cycles: int) -> int:
        """Cycles of the last round, where the first one has ``n_cycles``."""
        return n_cycles if self.n == 1 else later_length(n_cycles)

    def compare(self, f_prob: Tensor, earlier: Tensor, given: Tensor) -> None:
        """Note how predictions (n, K) after the last round agree with labels (n,), beside those before it."""
        before = "warm-up" if self.n == 1 else f"round {self.n - 1}"
        self.decisions.append(compare(f"round {self.n}", f"round {self.n}", before, f_prob, earlier, given, needs=0.0))

    @property
    def last_was_worse(self) -> bool:
        """Whether the last round lost more labels than it won."""
        return self.decisions[-1].z < 0

    @property
    def last_was_worth_it(self) -> bool:
        """Whether the last round won so many labels that another one may win more."""
        return self.decisions[-1].z >= WORTH

    def begin(self, before: dict[str, Any]) -> None:
        """Another round, from the state ``before``."""
        self.n, self.start, self.before = self.n + 1, before["state"]["cycle"], before

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors; ``before`` is not copied, nothing changes it."""
        decisions = [found._asdict() for found in self.decisions]
        return {"n": self.n, "start": self.start, "before": self.before, "decisions": decisions}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        self.n, self.start, self.before = saved["n"], saved["start"], saved["before"]
        self.decisions = [Decision(**found) for found in saved["decisions"]]
