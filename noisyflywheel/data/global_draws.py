"""The global random generators of torch (on the CPU), numpy and Python, from which items of Datasets may draw."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_globals(seed: int) -> None:
    """Seed the global generators."""
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (what Datasets draw from)
    random.seed(seed)


@contextmanager
def globals_kept() -> Iterator[list[bool]]:
    """The generators are as before on exit; the list given is then no longer empty where one had moved."""
    moved: list[bool] = []
    before = _states()
    try:
        yield moved
    finally:
        if not _same(_states(), before):
            moved.append(True)
            _put_back(before)


def _states() -> tuple[Any, ...]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    (torch_a, (_, key_a, *rest_a), python_a), (torch_b, (_, key_b, *rest_b), python_b) = a, b
    return (
        rest_a == rest_b
        and python_a == python_b
        and key_a.tobytes() == key_b.tobytes()  # faster than array_equal
        and torch.equal(torch_a, torch_b)
    )


def _put_back(states: tuple[Any, ...]) -> None:
    torch_state, numpy_state, python_state = states
    torch.set_rng_state(torch_state)
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(python_state)
