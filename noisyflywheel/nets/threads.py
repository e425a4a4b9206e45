"""How many threads a fit runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FEW_ROWS = 5_000
"""Rows up to which the products of the default nets on vectors are too small to be shared out: a second thread gains
little where a core is free, and where none is each product waits for it."""


@contextmanager
def at_most_threads(n: int | None) -> Iterator[None]:
    """Let torch's operations on the CPU use at most ``n`` threads; None leaves them as they are."""
    before = torch.get_num_threads()
    if n is None or n >= before:
        yield
        return
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
