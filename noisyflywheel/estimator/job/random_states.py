"""One ``random_state`` drives a fit, and no global random state is changed by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state


def draw_seeds(random_state: Any) -> list[int]:
    """Three seeds: of g, of f, and of the loop. None takes fresh entropy and leaves numpy's global state alone."""
    if random_state is None:
        return [int(s) for s in np.random.SeedSequence().generate_state(3, np.uint32)]
    drawn = check_random_state(random_state).randint(0, 2**31 - 1, size=3)
    return [int(s) for s in drawn]


@contextmanager
def isolated(devices: Iterable[torch.device]) -> Iterator[None]:
    """Global random states of the CPU and of the CUDA devices among ``devices`` are as before on exit."""
    with torch.random.fork_rng(devices=cuda_indices(devices)):
        yield


def seed_global(seed: int, devices: Iterable[torch.device]) -> None:
    """Seed the CPU and the CUDA devices among ``devices``, no others.

    `torch.manual_seed` would also leave a seed behind for every CUDA device that is initialised later.
    """
    torch.default_generator.manual_seed(seed)
    for index in cuda_indices(devices):
        torch.cuda.default_generators[index].manual_seed(seed)


def cuda_indices(devices: Iterable[torch.device]) -> list[int]:
    """Indices of the CUDA devices among ``devices``, each once."""
    cuda = [device for device in devices if device.type == "cuda"]
    return sorted({torch.cuda.current_device() if device.index is None else device.index for device in cuda})
