"""What each M-step trains on: views of shuffled rows, their targets and their loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.data import batches
from noisyflywheel.em.losses import (
    confidence_regularizer,
    contrastive_loss,
    limited_weight,
    main_loss,
    soft_target_cross_entropy,
)
from noisyflywheel.nets.trainer import Batch, Trainer
from noisyflywheel.views.mixup import mixup

if TYPE_CHECKING:
    from noisyflywheel.loop.flywheel import Flywheel

CHUNK = 1024
"""Rows whose views are made in one call: enough to hide the calls, little enough to stay in memory."""


def viewed(
    wheel: Flywheel, rows: Tensor, trainer: Trainer, *views: Callable[[Tensor], Tensor]
) -> Iterator[tuple[Tensor, ...]]:
    """Shuffled batches of (row indices, one tensor per view); views are made for ``CHUNK`` rows at once."""
    parts = list(batches(rows, trainer.net.batch_size, wheel.order))
    per = max(1, CHUNK // len(parts[0]))
    for start in range(0, len(parts), per):
        group = parts[start : start + per]
        raw = wheel.source.take(torch.cat(group))
        sizes = [len(index) for index in group]
        yield from zip(group, *(view(raw).split(sizes) for view in views), strict=True)


def warm_up_batches(wheel: Flywheel, trainer: Trainer, rows: Tensor) -> Iterator[Batch]:
    """Weak views against the given labels (Sec. 4.1, Initialization)."""
    for index, x in viewed(wheel, rows, trainer, wheel.weak):
        given = wheel.given[index]
        yield Batch(x, given, partial(trainer.warm_up_loss, target=given))


def auxiliary_batches(wheel: Flywheel, rows: Tensor) -> Iterator[Batch]:
    """Weak views against Eq. (11), and two strong views for the contrastive loss.

    With MixUp there are two weak views of each row, mixed over the shuffled batch; without it there is one.
    """
    s, settings = wheel.state, wheel.settings
    copies = 2 if settings.mixup_alpha > 0 else 1
    views = [wheel.weak] * copies + ([wheel.strong] * 2 if wheel.head is not None else [])
    for index, *made in viewed(wheel, rows, wheel.aux, *views):
        given = wheel.given[index]
        guess = sharpen(s.f_prob[index], settings.sharpen_temperature)
        target = em.refurbish(s.q[index].to(guess.dtype), given, guess)
        x, target = torch.cat(made[:copies]), target.repeat(copies, 1)
        x, target = mixup(x, target, settings.mixup_alpha, wheel.order)
        loss = auxiliary_loss(wheel, target, made[copies:])
        yield Batch(x, given.repeat(copies), loss, more=sum(len(view) for view in made[copies:]))


def auxiliary_loss(wheel: Flywheel, target: Tensor, strong: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """Eq. (13), plus the contrastive loss where there are strong views (Sec. 4.1)."""

    def loss(log_f: Tensor) -> Tensor:
        value = soft_target_cross_entropy(log_f, target)
        if wheel.head is None or not strong:
            return value
        with wheel.aux.autocast():
            z1, z2 = wheel.head(wheel.aux.features(torch.cat(strong))).chunk(2)
        return value + wheel.settings.contrastive_weight * contrastive_loss(z1, z2)

    return loss


def main_batches(wheel: Flywheel, rows: Tensor) -> Iterator[Batch]:
    """Weak views against y^ and the confidence regularizer (Eq. 8), or against Eq. (7) without f."""
    s, nominal = wheel.state, wheel.cr_weight()
    counts = torch.bincount(s.y_hat[rows], minlength=wheel.n_classes).float()
    prior = (counts + 1) / (counts + 1).sum()
    weight = limited_weight(nominal, prior) if wheel.settings.guard else torch.as_tensor(nominal)
    for index, x in viewed(wheel, rows, wheel.main, wheel.weak):
        given, target, q = wheel.given[index], s.y_hat[index], s.q[index].float()

        def loss(log_g: Tensor, given: Tensor = given, target: Tensor = target, q: Tensor = q) -> Tensor:
            if wheel.settings.refurbish:
                return main_loss(log_g, target, prior, weight)
            reweighted = em.reweighted_cross_entropy(log_g, given, q)
            return reweighted + weight * confidence_regularizer(log_g.exp(), prior)

        yield Batch(x, given, loss)


def sharpen(prob: Tensor, temperature: float) -> Tensor:
    """``p^(1/T)``, renormalised; T = 1 leaves it as it is. ``prob`` has shape (N, K)."""
    if temperature == 1.0:
        return prob
    powered = prob.clamp_min(1e-30).pow(1.0 / temperature)
    return powered / powered.sum(1, keepdim=True)
