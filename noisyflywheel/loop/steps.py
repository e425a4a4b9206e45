"""Training steps on weak views, which the warm-up and g's M-step share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.nets.trainer import Batch, Trainer

Loss = Callable[[Tensor], Tensor]
"""Of one batch: from log-probabilities (b, K), or (M, b, K) of the members of a net, to a scalar."""


def weak_batches(
    trainer: Trainer,
    loader: ViewLoader,
    rows: Tensor,
    given: Tensor,
    loss_of: Callable[[Tensor, Tensor | None], Loss],
    sample_weight: Tensor | None = None,
) -> Iterator[Batch]:
    """One epoch of weak views of ``rows`` in random order, each batch with its loss.

    Parameters
    ----------
    trainer : Trainer
        Whose batch size is taken.
    loader : ViewLoader
        Weak views.
    rows : Tensor of shape (B,), int64
        The rows of this epoch.
    given : Tensor of shape (N,), int64
        Given labels of all rows, for callbacks.
    loss_of : callable
        ``loss_of(index, w)`` is the `Loss` of the rows ``index`` (b,), whose weights are ``w`` (see `weights_of`).
    sample_weight : Tensor of shape (N,), or (M, N) for each member, optional
        At least 0, of mean 1.
    """
    for index, x in loader.batches(rows, trainer.net.batch_size, loader.weak):
        w = weights_of(sample_weight, index)
        yield Batch(x, given[index], loss_of(index, w), shares=loader.shares(len(index)), weights=w)


def weights_of(sample_weight: Tensor | None, index: Tensor) -> Tensor | None:
    """Weights of some rows ``index`` (b,), from those of all, (N,) or (M, N): (b,) or (M, b), float32."""
    return None if sample_weight is None else sample_weight[..., index].float()
