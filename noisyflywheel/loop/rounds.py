"""Rounds of cycles: whether the cycles, once done, are done again.

Where classes are easy to tell apart and there are few rows, the labels that a round put right let the next one put more
right; elsewhere one round is enough, or too much. What tells them apart are given labels of rows that a net has not
seen: a round follows if the one before it clearly won some, and stays if it lost none.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from noisyflywheel.loop.decide import Decision, compare

MOST_ROUNDS = 2
"""Rounds at most, where the number of cycles is not asked for: four are the same on the twenty tables of
docs/constants.md, and cost time on others."""

LATER_SHARE = 0.5
"""Length of the later rounds, as a share of the first one's cycles."""

WORTH = 3.0
"""Labels of unseen rows that a round won less those it lost, in standard deviations of chance, for which another one
follows."""


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
    n, start : int
        Begun so far; cycles before the last one.
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
