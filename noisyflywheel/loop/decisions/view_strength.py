"""How strong the views of vectors are: strong enough to keep nets from memorising labels, and no stronger.

One net on all rows judges rows that it trains on. Noise on these rows (the views) keeps it from learning wrong labels
by heart; how much noise that takes differs from data set to data set. The measure is the warm-up's agreement with the
given labels of rows that it left out: so many labels can be told from other rows. f's agreement with all given labels
is compared with it after each cycle. If it is lower, noise hides what the warm-up could see, and views become weaker;
if it is far higher, f has memorised labels, and views become stronger.

How strong they are at first, and how strong they may become, is tried at the end of the warm-up: a few epochs with the
usual, weaker and stronger views, and how many given labels of the rows that were left out are predicted then.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from noisyflywheel.loop.decisions.decide import Decision, share_of, sign_test

LEARNT_BY_HEART, AT_LEAST = 0.3, 0.05
"""Views become stronger where f predicts more than the first share of the given labels that cannot be told from other
rows, and these are more than the second share of all labels."""

CHANCE_ABOVE, CHANCE_BELOW = 2.0, 1.0
"""By how many standard errors of the agreement on unseen rows f's agreement has to be above or below it. The former is
the best of several epochs, and so about one standard error too high itself."""

STEP, WEAKEST, STRONGEST = 1.15, 0.35, 1.6
"""Factor of a change, once a cycle, and bounds of all changes together."""

WEAKER, TRIED_EPOCHS = 0.5, 3
"""Weaker views that are tried after the warm-up, beside usual ones and the strongest, and the epochs with each."""

NEEDED = 2.0
"""Standard deviations of chance by which weaker views have to win, or stronger ones to lose, to count half; with less
they count nothing."""


class Unseen(NamedTuple):
    """The warm-up's agreement with given labels of rows that it left out, and what it says of the views."""

    agreement: float
    """In [0, 1]."""
    n_rows: int
    first: float = 1.0
    """How strong views are in the first cycle."""
    strongest: float = STRONGEST
    """How strong they may become."""

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


def with_tried(unseen: Unseen, usual: Tensor, weaker: Tensor, stronger: Tensor) -> Unseen:
    """How strong views are at first and at most, by what nets predict after `TRIED_EPOCHS` with each of three views.

    Each is bool (m,): whether the given label of a row that was left out is predicted. Weaker views that win come
    first, as far as they win without doubt; stronger ones that lose are not reached.
    """
    weak, lost = (share_of(z, NEEDED) for z in (sign_test(weaker, usual), sign_test(usual, stronger)))
    first = max(WEAKER**weak, WEAKEST) if weak >= 0.5 else 1.0
    return unseen._replace(first=first, strongest=first * STRONGEST ** (1 - lost if lost >= 0.5 else 1.0))


def next_strength(strength: float, agreement: float, unseen: Unseen, settled: bool = True) -> float:
    """How strong views are in the next cycle, in units of their own noise.

    Parameters
    ----------
    strength : float
        As it is.
    agreement : float
        Share of the given labels that f predicts after the last cycle; NaN before the first one changes nothing.
    unseen : Unseen
        That of the warm-up on rows it left out, and the bound of the strength.
    settled : bool
        Whether lambda has its weight; until then nets give up labels that the warm-up learnt, and views do not become
        stronger.
    """
    above, error = agreement - unseen.agreement, unseen.standard_error
    if above < -CHANCE_BELOW * error:
        strength /= STEP
    elif settled and above > max(AT_LEAST, LEARNT_BY_HEART * (1 - unseen.agreement), CHANCE_ABOVE * error):
        strength *= STEP
    return min(max(strength, WEAKEST), unseen.strongest, STRONGEST)


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
