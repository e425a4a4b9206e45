"""Rows as the nets see them: shuffled batches of views for an M-step, rows in order for an E-step."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from noisyflywheel.data import ArraySource, Source, batches
from noisyflywheel.loop.folds import Folds
from noisyflywheel.nets.attributes import ChangedAttributes, is_own
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks
from noisyflywheel.nets.parallel.shares import WHOLE, Shares, Split
from noisyflywheel.nets.trainer import Trainer
from noisyflywheel.views.adapter import ViewAdapter

VIEW_NUMBERS = 1024 * 3 * 32 * 32
"""Most numbers (rows times size of a row) in one call of a view: enough to hide the cost of calls, little memory."""

MOST_ROWS = 1024
"""Most rows in one call of a view; half of it in one forward of a default net without gradients."""

WITHOUT_GRADIENTS = 4
"""Rows of a forward without gradients on a GPU, at most, in batches of a user's net."""


class ViewLoader:
    """Views of the rows of one source, drawn by generators of its own.

    Parameters
    ----------
    source : Source
        The rows.
    views : ViewAdapter
        Weak and strong views.
    seed : int
        Of the batch order (and MixUp) and of the views.
    ranks : Ranks
        Processes that share the fit. Rows in memory are seen by all of them, with the same views; of rows that are
        read each rank reads its share, and draws their views for itself.
    """

    def __init__(self, source: Source, views: ViewAdapter, seed: int, ranks: Ranks = ALONE) -> None:
        self.source, self.views, self.ranks = source, views, ranks
        self.order = torch.Generator().manual_seed(seed)
        self.augment = torch.Generator(device=views.generator_device(source.device)).manual_seed(seed)
        self.own = torch.Generator(device=self.augment.device)  # of one pass and rank
        self.view_attributes = ChangedAttributes({"views": views.views} if is_own(views.views) else {})
        first = source.take(torch.zeros(1, dtype=torch.int64))
        self.vectors = first.ndim == 2
        self.row_numbers = max(1, first.numel())

    def plain(self, x: Tensor) -> Tensor:
        """Rows as they are, as views."""
        return self.views.plain(x)

    def weak(self, x: Tensor) -> Tensor:
        """Weakly augmented rows."""
        return self.views.weak(x, self.own if self.shares_reading else self.augment)

    def strong(self, x: Tensor) -> Tensor:
        """Strongly augmented rows."""
        return self.views.strong(x, self.own if self.shares_reading else self.augment)

    def batches(
        self, rows: Tensor, batch_size: int, *views: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[Tensor, ...]]:
        """Shuffled batches of ``rows``: (row indices (B,), one tensor (B, ...) per view).

        Views are those of this rank's share, at least one row, where `shares_reading`.
        """
        self._begin_pass()
        parts = list(batches(rows, batch_size, self.order))
        read = [self.ranks.take(index) for index in parts] if self.shares_reading else parts
        per_call = max(1, min(MOST_ROWS, VIEW_NUMBERS // self.row_numbers) // len(read[0]))
        groups = [slice(start, start + per_call) for start in range(0, len(parts), per_call)]
        for group, raw in zip(groups, self.source.stream(torch.cat(read[group]) for group in groups), strict=True):
            sizes = [len(index) for index in read[group]]
            seen = [raw, *(raw.clone() for _ in views[1:])]  # a user's view may change what it is given
            made = [view(x).split(sizes) for view, x in zip(views, seen, strict=True)]
            yield from zip(parts[group], *made, strict=True)

    @property
    def shares_reading(self) -> bool:
        """Whether each rank reads its share of the rows."""
        return not self.ranks.alone and not isinstance(self.source, ArraySource)

    def shares(self, n_rows: int) -> Shares:
        """Which rank has which rows of a batch of ``n_rows``."""
        return Split(self.ranks.sizes(n_rows), self.ranks.rank) if self.shares_reading else WHOLE

    def _begin_pass(self) -> None:
        """Seed the generator of views that this rank draws for itself: by the common one, and its number."""
        if self.shares_reading:
            seed = torch.randint(2**31, (), generator=self.augment, device=self.augment.device)
            self.own.manual_seed(int(seed) + self.ranks.rank)  # sync: one scalar a pass, over rows that are read

    def predict(self, trainer: Trainer, rows: Tensor, view: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Log-probabilities in eval mode of rows as they are, or of one view of them: (len(rows), K)."""
        return torch.cat([log_p for _, log_p in self.predict_parts(trainer, rows, view)])

    def predict_parts(
        self, trainer: Trainer, rows: Tensor, view: Callable[[Tensor], Tensor] | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """`predict` in parts: positions in ``rows`` (b,), and log-probabilities (b, K)."""
        size = prediction_batch(trainer, self.row_numbers)
        padded, everywhere = self.vectors and view is None, view is not None and not self.shares_reading
        if view is not None:
            self._begin_pass()
        start = 0
        for log_p in trainer.predict_parts(self.source, view or self.plain, rows, size, padded, everywhere):
            yield torch.arange(start, start + len(log_p), device=log_p.device), log_p
            start += len(log_p)

    def predict_unseen(self, trainer: Trainer, folds: Folds, kept: bool = False) -> Tensor:
        """Probabilities in eval mode of every row by the members that have not seen it: (families, N, K).

        ``kept`` asks those that the module keeps from the end of the warm-up, of both nets.
        """
        per_column = self.row_numbers * len(folds.own)
        size = max(1, min(MOST_ROWS, VIEW_NUMBERS // per_column))
        log_p = trainer.predict_apart(self.source, self.plain, folds.own, size, kept)  # (M or 2 M, s, K)
        stacks = log_p.exp().split(len(folds.own))
        return torch.cat([folds.mean_by_row(prob, len(self.source)) for prob in stacks])

    def state_dict(self) -> dict[str, Any]:
        """Both generators' states, and what the caller's views count."""
        states = {"order": self.order.get_state(), "augment": self.augment.get_state()}
        return states | {"view_attributes": self.view_attributes.state_dict()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        self.order.set_state(saved["order"])
        self.set_augment(saved["augment"])
        if "view_attributes" in saved:  # files of earlier versions have none
            self.view_attributes.load_state_dict(saved["view_attributes"])

    def set_augment(self, state: Tensor) -> None:
        """Put the generator of views where ``state`` was taken; on another kind of device at a seed made from it."""
        if state.numel() == self.augment.get_state().numel():
            self.augment.set_state(state)
        else:
            self.augment.manual_seed(zlib.crc32(state.numpy().tobytes()))


def predict_plain(trainer: Trainer, source: Source, plain: Callable[[Tensor], Tensor]) -> Tensor:
    """Log-probabilities in eval mode of every row of ``source``, seen by ``plain`` as they are: (n, K)."""
    return torch.cat(list(plain_parts(trainer, source, plain)))


def plain_parts(trainer: Trainer, source: Source, plain: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """`predict_plain` in parts (b, K)."""
    first = source.take(torch.zeros(1, dtype=torch.int64))
    size = prediction_batch(trainer, max(1, first.numel()))
    return trainer.predict_parts(source, plain, torch.arange(len(source)), size, pad=first.ndim == 2)


def prediction_batch(trainer: Trainer, row_numbers: int) -> int:
    """Rows of one forward without gradients.

    A default net, whose memory is known, takes up to ``MOST_ROWS / 2`` rows of at most ``row_numbers`` numbers each as
    long as they hold no more than ``VIEW_NUMBERS / 2`` together. A user's net has its own ``batch_size``; on a GPU,
    which small batches leave idle, up to four times as many rows within the same bounds: a training step keeps what
    every layer makes of its rows, and a forward without gradients what one does.
    """
    own, at_most = trainer.net.batch_size, min(MOST_ROWS // 2, VIEW_NUMBERS // 2 // row_numbers)
    if own > 0 and not trainer.scheduled:
        at_most = min(at_most, WITHOUT_GRADIENTS * own) if trainer.device.type == "cuda" else own
    return max(own, at_most, 1)
