"""MixUp of inputs and label distributions (Sec. 3.3 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor


def mixup(x: Tensor, target: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Convex combination of a batch with a shuffled copy of itself.

    One ``l ~ Beta(alpha, alpha)`` a batch, ``l = max(l, 1 - l)`` so that each row keeps the larger share of
    itself.

    Parameters
    ----------
    x : Tensor of shape (B, ...)
        Views.
    target : Tensor of shape (B, K)
        Label distributions; rows sum to 1.
    alpha : float, at least 0
        0 leaves the batch as it is.
    generator : torch.Generator
        On the CPU; drives the weight and the permutation.

    Returns
    -------
    mixed : Tensor of shape (B, ...)
    target : Tensor of shape (B, K)
        Rows sum to 1.
    """
    if alpha <= 0:
        return x, target
    share = mixing_weight(alpha, generator)
    partner = torch.randperm(len(x), generator=generator)  # (B,), on the host
    return _mixed(x, partner, share), _mixed(target, partner, share)


def _mixed(t: Tensor, partner: Tensor, share: float) -> Tensor:
    """``share`` of each row and the rest of its partner: (B, ...) -> (B, ...)."""
    there = partner.to(t.device, non_blocking=t.device.type == "cuda")  # MPS would read the host's memory too late
    return torch.lerp(t[there], t, share)


def mixing_weight(alpha: float, generator: torch.Generator) -> float:
    """One draw of ``max(l, 1 - l)``, ``l ~ Beta(alpha, alpha)``, in [0.5, 1]."""
    gammas = torch._standard_gamma(torch.full((2,), float(alpha), dtype=torch.float64), generator=generator)
    weight = float(gammas[0] / gammas.sum().clamp_min(1e-300))
    return max(weight, 1 - weight)
