"""Numbers of rows that a module looks up in an Embedding, such as token ids: anything between two of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from noisyflywheel.nets.modules import all_modules
from noisyflywheel.nets.trainer import Trainer

KINDS = (nn.Embedding, nn.EmbeddingBag)


def check_ids(trainer: Trainer, x: Tensor, blurred_by: str, name: str) -> None:
    """Raise ValueError where the net called ``name`` reads rows x (B, d) as ids, which ``blurred_by`` would blur."""
    if reads_ids(trainer, x):
        raise ValueError(
            f"{name} looks numbers of X up in an Embedding (token ids, codes of categories), which {blurred_by} turns "
            f"into others: set views=None, or views of your own that keep them whole, and mixup_alpha=0."
        )


@torch.no_grad()
def reads_ids(trainer: Trainer, x: Tensor) -> bool:
    """Whether an Embedding is asked for what the rows x (B, d) hold: each whole number for another of its rows.

    Positions stay the same whatever the rows hold, and so do most bins into which numbers are sorted.
    """
    net, module, x = trainer.net, all_modules(trainer.net), x.to(trainer.device)
    if not any(isinstance(part, KINDS) for part in module.modules()):
        return False
    net._set_training(False)
    asked = []
    for step in (0.0, 0.25, 1.0):
        with looked_up(module) as found, suppress(Exception):  # 1 more may be too much for the user's code
            trainer.forward((x + step).to(x.dtype))
        asked.append(found)
    return any(torch.equal(a, near) and _mostly_others(a, next_) for a, near, next_ in zip(*asked, strict=False))


def _mostly_others(index: Tensor, other: Tensor) -> bool:
    return index.shape != other.shape or bool((index != other).double().mean() > 0.5)


@contextmanager
def looked_up(module: nn.Module) -> Iterator[list[Tensor]]:
    """A list of what the Embeddings of a module are asked for inside; beyond their last row they give that one."""
    found: list[Tensor] = []

    def keep(table: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        found.extend(args[:1])
        return (*(index.clamp(max=table.num_embeddings - 1) for index in args[:1]), *args[1:])

    handles = [part.register_forward_pre_hook(keep) for part in module.modules() if isinstance(part, KINDS)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
