"""Everything that decides how a flywheel goes on: taken to continue later, put back to continue bitwise the same."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import torch

from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.state import FlywheelState


def take(wheel: Flywheel) -> dict[str, Any]:
    """Nets, optimizers, learning rates, EM state and random states, copied, as a nested dict.

    The dict holds tensors, numbers, strings, lists and dicts only.
    """
    snapshot: dict[str, Any] = {
        "state": {f.name: _copied(getattr(wheel.state, f.name)) for f in fields(FlywheelState)},
        "order": wheel.order.get_state(),
        "augment": wheel.augment.get_state(),
        "global": torch.get_rng_state(),
        "head": None if wheel.head is None else copy.deepcopy(wheel.head.state_dict()),
        "nets": [trainer.state_dict() for trainer in wheel.trainers],
    }
    if wheel.source.device.type == "cuda":
        snapshot["cuda"] = torch.cuda.get_rng_state(wheel.source.device)
    return snapshot


def put_back(wheel: Flywheel, snapshot: dict[str, Any]) -> None:
    """Bring ``wheel`` to where it was when `take` was called on it or on one built the same way."""
    device = wheel.given.device
    for name, value in snapshot["state"].items():
        moved = value.to(device).clone() if isinstance(value, torch.Tensor) else value
        setattr(wheel.state, name, moved)
    wheel.order.set_state(snapshot["order"])
    wheel.augment.set_state(snapshot["augment"])
    torch.set_rng_state(snapshot["global"])
    if "cuda" in snapshot and device.type == "cuda":
        torch.cuda.set_rng_state(snapshot["cuda"], device)
    if wheel.head is not None and snapshot["head"] is not None:
        wheel.head.load_state_dict(snapshot["head"])
    for trainer, saved in zip(wheel.trainers, snapshot["nets"], strict=True):
        trainer.load_state_dict(saved)


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value
