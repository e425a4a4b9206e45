"""Numbers of rows that a module looks up in an Embedding, such as token ids: anything between two of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

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
    """Whether an Embedding is asked for numbers of the rows x (B, d) themselves.

    Positions are the same whichever row comes first, and numbers of bins are not among those of the rows.
    """
    net, x = trainer.net, x.to(trainer.device)
    if not any(isinstance(part, KINDS) for part in net.module_.modules()):
        return False
    net._set_training(False)
    asked = []
    for rows in (x, x.flip(0)):
        with looked_up(net.module_) as found:
            trainer.forward(rows)
        asked.append(found)
    pairs = zip(*asked, strict=False)
    return any(not torch.equal(one, other) and bool(torch.isin(one.to(x), x).all()) for one, other in pairs)


@contextmanager
def looked_up(module: nn.Module) -> Iterator[list[Tensor]]:
    """A list of what the Embeddings of a module are asked for, of any shape, inside."""
    found: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...]) -> None:
        found.extend(args[:1])

    handles = [part.register_forward_pre_hook(keep) for part in module.modules() if isinstance(part, KINDS)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
