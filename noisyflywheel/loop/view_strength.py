"""How strong views of vectors have to be: enough to keep labels from being learnt by heart, and no more.

Nets that train on the rows they judge are kept from learning wrong labels by heart by noise on these rows, whose right
strength belongs to the data. The warm-up leaves rows out; its agreement with their given labels is what can be said of
a label from other rows. f's agreement with all given labels, cycle by cycle, is at least that where nets fit. Where it
is below, noise hides what the warm-up could see; where it is far above, nets have learnt labels by heart.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from noisyflywheel.loop.decide import Decision

LEARNT_BY_HEART, AT_LEAST = 0.3, 0.05
"""Views become stronger where f predicts more than this share of the given labels that other rows do not tell, if these
are so many of all labels."""

CHANCE_ABOVE, CHANCE_BELOW = 2.0, 1.0
"""How far above or below the agreement on unseen rows has to be passed, in its standard errors: it is the best of
several epochs, and so about one of them high itself."""

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
    """The best mean of two epochs; ``records`` tell for each epoch whether each row (m,) was predicted as labelled."""
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
    """How strong views were in the last cycle, and both agreements that it came from."""
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
