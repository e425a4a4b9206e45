"""How many rows each class has."""

from __future__ import annotations

import torch
from torch import Tensor


def class_counts(labels: Tensor, n_classes: int, sample_weight: Tensor | None = None) -> Tensor:
    """Rows of each class, or the sum of their weights, without a read by the host, which ``torch.bincount`` does.

    Parameters
    ----------
    labels : Tensor of shape (n,), int64
        In [0, K).
    n_classes : int
        K.
    sample_weight : Tensor of shape (n,), optional

    Returns
    -------
    Tensor of shape (K,)
        int64, or of the type of the weights.
    """
    each = torch.ones_like(labels) if sample_weight is None else sample_weight
    return torch.zeros(n_classes, dtype=each.dtype, device=labels.device).scatter_add_(0, labels, each)
