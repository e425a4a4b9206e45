"""Which rows a step sees: shuffled batches of row indices, and class-balanced draws."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from noisyflywheel.data.devices import moved


def batches(rows: Tensor, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Tensor]:
    """Row indices in batches, shuffled if a generator is given.

    A last batch of one row joins the batch before: BatchNorm cannot train on one row.

    Parameters
    ----------
    rows : Tensor of shape (n,), int64
        Indices of the rows.
    batch_size : int, positive
        Rows a batch; -1 for all.
    generator : torch.Generator, optional
        On the CPU.
    """
    if generator is not None:
        rows = rows[moved(torch.randperm(len(rows), generator=generator), rows.device)]
    chunks = list(rows.split(rows_a_batch(len(rows), batch_size)))
    if len(chunks) > 1 and len(chunks[-1]) == 1:
        chunks[-2:] = [torch.cat(chunks[-2:])]
    yield from chunks


def rows_a_batch(n_rows: int, batch_size: int) -> int:
    """Rows that a batch of `batches` has: all ``n_rows`` for -1, else 2 at least."""
    return n_rows if batch_size < 1 else max(batch_size, 2)


def balanced_rows(given: Tensor, n_classes: int, size: int, generator: torch.Generator) -> Tensor:
    """``size`` rows with as many of each given class as can be, drawn anew for each cycle.

    Sec. 4.2, Clothing1M: "while ensuring that the labels are balanced". A class with fewer rows than its
    share is drawn with repetition.

    Parameters
    ----------
    given : Tensor of shape (n,), int64
        Given labels.
    n_classes, size : int
        K, and the number of rows wanted.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor of shape (size,), int64
    """
    present = [c for c in range(n_classes) if bool((given == c).any())]  # sync: one a class, once a cycle
    order = torch.randperm(len(present), generator=generator).tolist()  # who gets one row more
    shares = [size // len(present) + (i < size % len(present)) for i in order]
    parts = []
    for label, share in zip(present, shares, strict=True):
        if share == 0:
            continue
        members = torch.nonzero(given == label).squeeze(1)
        rounds = -(-share // len(members))
        drawn = [torch.randperm(len(members), generator=generator) for _ in range(rounds)]
        parts.append(members[moved(torch.cat(drawn)[:share], members.device)])
    return torch.cat(parts)
