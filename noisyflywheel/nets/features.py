"""Where the contrastive loss reads the features of a module (Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Features:
    """Features of a module: its own ``forward_features``, a named layer, or the input of its last Linear.

    Parameters
    ----------
    module : nn.Module
        Any module; never changed. Of one from ``torch.compile`` the module inside is read, uncompiled.
    layer : str, default="auto"
        "auto": ``module.forward_features`` where it exists, otherwise the input of the last ``nn.Linear``.
        Any other string: the name of the submodule (as in ``module.named_modules()``) whose output is used.
    forward : callable, optional
        How the module is called, such as ``net.infer``; by itself if not given, and if it is from ``torch.compile``.

    Raises
    ------
    ValueError
        If there is no submodule of that name.
    """

    def __init__(self, module: nn.Module, layer: str = "auto", forward: Callable[[Tensor], Any] | None = None) -> None:
        given, module = module, getattr(module, "_orig_mod", module)  # hooks in a compiled graph are never called
        self.module, self.name = module, layer
        self.forward = module if forward is None or module is not given else forward
        self.layer: nn.Module | None = None
        self.reads_input = layer == "auto"
        self.has_method = layer == "auto" and hasattr(module, "forward_features")
        if layer != "auto":
            named = dict(module.named_modules())
            if layer not in named:
                raise ValueError(f"feature_layer={layer!r} is no submodule of {type(module).__name__}.")
            self.layer = named[layer]
        elif not self.has_method:
            linears = [m for m in module.modules() if isinstance(m, nn.Linear)]
            self.layer = linears[-1] if linears else None

    def __call__(self, x: Tensor) -> Tensor:
        """Features of views: (B, ...) -> (B, d), float32; ValueError if the module has none, or no tensor there."""
        if self.has_method:
            return self.module.forward_features(x).flatten(1).float()  # type: ignore[operator]
        seen: list[Any] = []

        def keep(_: nn.Module, args: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
            outputs = output if isinstance(output, tuple) else (output,)  # as recurrent layers return more
            seen.append(args[0] if self.reads_input else outputs[0])

        kind = type(self.module).__name__
        if self.layer is None:
            raise ValueError(
                f"contrastive_weight > 0 needs features, but {kind} has neither forward_features nor a Linear: set "
                f"feature_layer to the name of a submodule, or contrastive_weight=0."
            )
        handle = self.layer.register_forward_hook(keep)
        try:
            self.forward(x)
        finally:
            handle.remove()
        if not seen:
            raise ValueError(
                f"feature_layer={self.name!r} is not reached by forward of {kind}: name a submodule that is."
            )
        if not isinstance(seen[-1], Tensor):
            got = type(seen[-1]).__name__
            raise ValueError(f"feature_layer={self.name!r} of {kind} gives a {got}, no tensor: name another submodule.")
        return seen[-1].flatten(1).float()


class ProjectionHead(nn.Module):
    """Head of the contrastive loss: Linear(d, 128) and BatchNorm (the form of UNICON)."""

    def __init__(self, d: int, width: int = 128) -> None:
        super().__init__()
        self.project = nn.Linear(d, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Projections: (B, d) -> (B, width)."""
        return self.norm(self.project(features))


def make_head(features: Features, x: Tensor, device: torch.device) -> ProjectionHead:
    """A projection head for the features of views ``x``; the module's mode is restored."""
    training = features.module.training
    features.module.eval()
    with torch.no_grad():
        d = features(x).shape[1]
    features.module.train(training)
    return ProjectionHead(d).to(device)
