"""How strong the views of vectors are: strong enough to keep nets from memorising labels, and no stronger.

One net on all rows judges rows that it trains on. Noise on these rows (the views) keeps it from learning wrong labels
by heart; how much noise that takes differs from data set to data set. The measure is the warm-up's agreement with the
given labels of rows that it left out: so many labels can be told from other rows. f's agreement with all given labels
is compared with it after each cycle. If it is lower, noise hides what the warm-up could see, and views become weaker;
if it is far higher, f has memorised labels, and views become stronger.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from noisyflywheel.loop.decisions.decide import Decision

LEARNT_BY_HEART, AT_LEAST = 0.3, 0.05
"""Views become stronger where f predicts more than the first share of the given labels that cannot be told from other
rows, and these are more than the second share of all labels."""

CHANCE_ABOVE, CHANCE_BELOW = 2.0, 1.0
"""By how many standard errors of the agreement on unseen rows f's agreement has to be above or below it. The former is
the best of several epochs, and so about one standard error too high itself."""

STEP, WEAKEST, STRONGEST = 1.15, 0.35, 1.6
"""Factor of a change, once a cycle, and bounds of all changes together."""


class Unseen(NamedTuple):
    """The warm-up's agreement with given labels of rows that it left out."""

    agreement: float
    """In [0, 1]."""
    n_rows: int

    @property
    def standard_error(self) -> float:
        """Of the agreement."""
        return math.sqrt(self.agreement * (1 - self.agreement) / self.n_rows)


def best_of_warm_up(records: list[Tensor]) -> Unseen | None:
    """The best agreement on held-out rows, as a mean over two epochs; None with fewer epochs.

    ``records`` has a bool tensor (m,) an epoch: whether the given label of each held-out row was predicted.
    """
    if len(records) < 2:
        return None
    by_epoch = torch.stack(records).double().mean(1)
    return Unseen(float((by_epoch[1:] + by_epoch[:-1]).max()) / 2, len(records[0]))


def next_strength(strength: float, agreement: float, unseen: Unseen, settled: bool = True) -> float:
    """How strong views are in the next cycle, in units of their own noise.

    Parameters
    ----------
    strength : float
        As it is.
    agreement : float
        Share of the given labels that f predicts after the last cycle; NaN before the first one changes nothing.
    unseen : Unseen
        That of the warm-up on rows it left out.
    settled : bool
        Whether lambda has its weight; until then nets give up labels that the warm-up learnt, and views do not become
        stronger.
    """
    above, error = agreement - unseen.agreement, unseen.standard_error
    if above < -CHANCE_BELOW * error:
        strength /= STEP
    elif settled and above > max(AT_LEAST, LEARNT_BY_HEART * (1 - unseen.agreement), CHANCE_ABOVE * error):
        strength *= STEP
    return min(max(strength, WEAKEST), STRONGEST)


def last_strength(strength: float, agreement: float, unseen: Unseen) -> Decision:
    """The row of ``decisions_``: how strong views were in the last cycle, and the two agreements that decided it."""
    return Decision(
        "view strength",
        f"{strength:.2f}",
        "labels learnt by heart or hidden: agreement on seen rows, beside that on unseen ones",
        candidate="seen",
        alternative="unseen",
        agreement=agreement,
        alternative_agreement=unseen.agreement,
        n_rows=unseen.n_rows,
    )
