"""EM of the auxiliary network f: E-step (Eq. 11), M-step (Eqs. 12, 13), and the resampling between the two EMs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from noisyflywheel import em
from noisyflywheel.em.counts import class_counts
from noisyflywheel.em.division import tempered
from noisyflywheel.em.losses import contrastive_loss, cross_entropy_of_finite
from noisyflywheel.em.main import PROB_MIN
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.loop.steps import weights_of
from noisyflywheel.nets.parallel.shares import WHOLE, Shares
from noisyflywheel.nets.trainer import Batch, Trainer


def e_step(trainer: Trainer, loader: ViewLoader, rows: Tensor, n_classes: int) -> Tensor:
    """f's guess of the true class of each row (B,): its mean prediction over views, (B, K), rows sum to 1.

    Two weak views (Sec. 4.1) unless the view object says otherwise, see `ViewAdapter.guess`. With q it makes Eq. (11),
    which is built batch by batch in the M-step.
    """
    total = torch.zeros(len(rows), n_classes, device=rows.device)
    for name in loader.views.guess:
        total += loader.predict(trainer, rows, None if name == "plain" else loader.weak).exp()
    return total / len(loader.views.guess)


def aligned(guess: Tensor, given: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """A guess (B, K), rescaled to about the class shares of the given labels (B,), see `em.share_factors`: (B, K)."""
    exact = guess.double()  # so that a weight counts as a repetition does
    mass = exact.sum(0) if sample_weight is None else sample_weight.double() @ exact
    return em.rescaled(guess, em.share_factors(mass, class_counts(given, guess.shape[1], sample_weight)))


def matrices(q: Tensor, f_prob: Tensor, given: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """T and T_c in closed form (Sec. 3.3), rows = true class, columns = given class.

    ``q`` has shape (B,), ``f_prob`` (B, K), ``given`` (B,), ``sample_weight`` (B,) or None; returns two tensors (K, K).
    """
    refurbished = em.refurbish(q, given, f_prob)
    if sample_weight is not None:  # both matrices are linear in the mass of a row
        refurbished, f_prob = refurbished * sample_weight[:, None], f_prob * sample_weight[:, None]
    return em.transition_matrix(refurbished, given), em.corruption_matrix(q, f_prob, given)


def m_step(
    trainer: Trainer,
    loader: ViewLoader,
    rows: Tensor,
    given: Tensor,
    target: Callable[[Tensor], Tensor],
    *,
    mixup_alpha: float = 0.0,
    head: nn.Module | None = None,
    contrastive_weight: float = 0.0,
    sample_weight: Tensor | None = None,
) -> float:
    """Train f on the refurbished labels (Eq. 13) and, with a head, the contrastive loss; returns the mean loss.

    Parameters
    ----------
    trainer : Trainer
        f.
    loader : ViewLoader
        One weak view of each row, two with MixUp, and two strong ones with a head.
    rows : Tensor of shape (B,), int64
        The rows of this cycle.
    given : Tensor of shape (N,), int64
        Given labels of all rows, for callbacks.
    target : callable
        From row indices (b,) to refurbished label distributions (b, K), such as `mixture_target`.
    mixup_alpha : float, at least 0
        0 does not mix.
    head : nn.Module, optional
        Projection head of the contrastive loss.
    contrastive_weight : float
        alpha.
    sample_weight : Tensor of shape (N,), or (M, N) for each member, optional
        At least 0, of mean 1.
    """
    copies = 2 if mixup_alpha > 0 else 1
    views = [loader.weak] * copies + [loader.strong] * (0 if head is None else 2)

    def steps() -> Iterator[Batch]:
        for index, *made in loader.batches(rows, trainer.net.batch_size, *views):
            shares = loader.shares(len(index))
            all_views, of_views = shares.in_copies(index, copies), shares.times(copies)
            w = weights_of(sample_weight, all_views)
            q_y = target(all_views)  # (b, K)
            if w is not None and w.ndim == 1:  # Eq. (13) is linear in its target, which MixUp mixes
                q_y, w = q_y * w[:, None].to(q_y.dtype), None
            x, q_y = of_views.mixed(torch.cat(made[:copies]), q_y, mixup_alpha, loader.order)
            strong = made[copies:]
            loss = auxiliary_loss(trainer, q_y, head, strong, contrastive_weight, w, shares)
            yield Batch(x, given[all_views], loss, sum(map(len, strong)), of_views, w)

    return trainer.epoch(steps())


def mixture_target(given: Tensor, q: Tensor, f_prob: Tensor, temperature: float = 1.0) -> Callable[[Tensor], Tensor]:
    """Eq. (11), batch by batch: ``given`` (N,), ``q`` (N,), ``f_prob`` (N, K), sharpened below temperature 1."""

    def target(index: Tensor) -> Tensor:
        guess = sharpen(f_prob[index].float(), temperature)
        return em.refurbish(q[index].to(guess.dtype), given[index], guess)

    return target


def auxiliary_loss(
    trainer: Trainer,
    target: Tensor,
    head: nn.Module | None,
    strong: list[Tensor],
    contrastive_weight: float,
    sample_weight: Tensor | None = None,
    shares: Shares = WHOLE,
) -> Callable[[Tensor], Tensor]:
    """Eq. (13), plus the contrastive loss where there are strong views (Sec. 4.1)."""

    def loss(log_f: Tensor) -> Tensor:
        value = cross_entropy_of_finite(log_f, target, sample_weight)
        if head is None:
            return value
        with trainer.autocast():
            z1, z2 = head(trainer.features_of(strong, shares)).chunk(2)
        return value + contrastive_weight * contrastive_loss(z1, z2)

    return loss


def resample(q: Tensor, given: Tensor, f_prob: Tensor, how: str) -> Tensor:
    """Labels y^ that g trains on: (B,), int64.

    ``how`` is "posterior", the argmax of Eq. (11) with the updated f, or "argmax", that of f (the paper).
    """
    return (em.refurbish(q, given, f_prob) if how == "posterior" else f_prob).argmax(1)


def sharpen(prob: Tensor, temperature: float) -> Tensor:
    """``p^(1/T)``, renormalised; T = 1 leaves it as it is. ``prob`` has shape (B, K)."""
    return prob if temperature == 1.0 else tempered(prob.clamp_min(PROB_MIN), temperature)
