"""States of random number generators as uint8 tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def generator_state(generator: torch.Generator) -> Tensor:
    """State of a generator on any device: (m,), uint8, on the CPU."""
    return generator.get_state().cpu()


def restore_generator(generator: torch.Generator, state: Tensor) -> None:
    """Set a generator to a state of `generator_state`.

    Raises
    ------
    RuntimeError
        If the state is of another kind of device.
    """
    generator.set_state(state.cpu())


def global_state() -> dict[str, Any]:
    """States of torch's global generators: ``{"cpu": Tensor, "cuda": list of Tensor}``, uint8."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": [state.cpu() for state in cuda]}


def restore_global(state: dict[str, Any]) -> None:
    """Set torch's global generators; states of CUDA devices that are not there are left out."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_initialized():
        for device, cuda in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda, device)
