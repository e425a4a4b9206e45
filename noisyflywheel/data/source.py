"""What a source of rows is, and how it is let go of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor


class Source(Protocol):
    """Rows by index."""

    device: torch.device

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def take(self, rows: Tensor) -> Tensor:
        """Rows of shape (B, ...) on ``device``."""
        ...

    def stream(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """`take` of each part, in order; the next ones may be read ahead."""
        ...

    def of_dead_worker(self, error: Exception) -> Exception | None:
        """Where ``error`` tells of a worker that died, one that names the row which it was reading; else None."""
        ...

    def close(self) -> None:
        """Let go of what reads ahead."""
        ...


@contextlib.contextmanager
def opened(source: Source) -> Iterator[Source]:
    """A source that is closed in the end.

    Raises
    ------
    RowReadError
        Where a worker dies meanwhile: torch says so by an error wherever this process is just then.
    """
    with contextlib.closing(source):
        try:
            yield source
        except Exception as error:
            named = source.of_dead_worker(error)
            if named is None:
                raise
            raise named from error
