"""The main network's E-step: which labels are clean (Eqs. 4 and 6), and what every cycle adds to the ranking score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisyflywheel import em

if TYPE_CHECKING:
    from noisyflywheel.loop.flywheel import Flywheel

OVERCONFIDENT = 0.08
"""Beyond this `overconfidence` g is calibrated: nets that fit their rows end below .05, underfitted ones reach .12."""

F_SHARE = 0.1
"""Share of f in the ranking score: more ranks human errors worse, none ranks random ones worse."""


def main_e_step(wheel: Flywheel, rows: Tensor) -> None:
    """Step 1 on ``rows``: q (Eq. 4) with g on the rows as they are, gamma (Eq. 6), the ranking score."""
    s, given = wheel.state, wheel.given[rows]
    log_g = wheel.predict(wheel.main, rows)
    add_score(wheel, rows, log_g)
    gamma, s.temperature = s.gamma, 1.0
    calibrated = calibrates(wheel, log_g, s.f_prob[rows])
    if calibrated or holds_gamma(wheel):
        gamma = em.main.clip_clean_rate(em.agreement(s.f_prob[rows], given))
    if calibrated:
        s.temperature = em.calibrate(log_g, given, gamma, s.eps[rows])
    g_given = em.tempered_given(log_g, given, s.temperature).double()
    s.q[rows] = em.clean_posterior(g_given, gamma, s.eps[rows])
    s.gamma = em.update_clean_rate(s.q[rows])


def add_score(wheel: Flywheel, rows: Tensor, log_g: Tensor) -> None:
    """Add to the ranking score: g's probability of the given label, and a little of f's, which parts ties."""
    s, given = wheel.state, wheel.given[rows][:, None]
    g_given = log_g.gather(1, given).squeeze(1).double().exp()
    s.quality_sum[rows] += torch.lerp(g_given, s.f_prob[rows].gather(1, given).squeeze(1).double(), F_SHARE)
    s.n_scored[rows] += 1


def holds_gamma(wheel: Flywheel) -> bool:
    """Whether gamma is still the agreement of f with the given labels, as after the warm-up (Sec. 4.1).

    Until the regularizer has its weight g explains wrong labels nearly as well as right ones, above all those that
    depend on the class, and the mean of q runs to 1: the trivial solution of Sec. 3.1.
    """
    settings = wheel.settings
    return settings.calibrate == "auto" and settings.refurbish and wheel.state.cycle < settings.cr_ramp


def calibrates(wheel: Flywheel, log_g: Tensor, f_prob: Tensor) -> bool:
    """Whether g is tempered: always, never, or where it is surer than its agreement with f warrants.

    Nets whose weights are averaged are compared from the first cycle on; others sway, and with them their
    agreement, until the regularizer has its weight.
    """
    settings = wheel.settings
    if settings.calibrate != "auto":
        return bool(settings.calibrate)
    settled = settings.average_epochs > 0 or wheel.state.cycle - wheel.first_cycle >= settings.cr_ramp
    return settings.refurbish and settled and em.overconfidence(log_g, f_prob) > OVERCONFIDENT
