"""One face for every view object: ours, the user's with fewer methods, or none."""

from __future__ import annotations

import contextlib
import copy
import inspect
from typing import Any

import torch
from sklearn.base import clone
from torch import Tensor

FEW, TIMES_AS_LARGE = 32, 16.0
"""Rows by which scales are compared, and how many times larger numbers are of another scale: 255 times, of 8 bits."""


class ViewAdapter:
    """Calls a view object with what it takes.

    Parameters
    ----------
    views : object or None
        With ``weak(x)`` and ``strong(x)`` and, where it has them, ``fit(x)``, ``plain(x)`` and a ``generator``
        argument. None: every view is the row itself.
    sample : Tensor of shape (n, ...)
        The training rows, for ``fit``.

    Attributes
    ----------
    guess : tuple of {"weak", "plain"}
        The views whose mean prediction is f's guess of the true class: two weak ones (Sec. 4.1) unless the view
        object has another ``guess``; without views the row itself.
    row_shape : tuple of int
        Of one row.
    pixel_range : tuple of float or None
        See `pixel_range`.
    """

    def __init__(self, views: Any, sample: Tensor) -> None:
        copied: Any = clone(views, safe=False) if views is not None else None
        fitted = copied.fit(sample) if hasattr(copied, "fit") else copied
        self.views: Any = copied if fitted is None else fitted  # a fit may return nothing
        self.eight_bit = sample.dtype == torch.uint8
        self.pixel_range = pixel_range(sample)
        self.guess: tuple[str, ...] = (
            ("plain",) if copied is None else tuple(getattr(copied, "guess", ("weak", "weak")))
        )
        self.row_shape = tuple(sample.shape[1:])

    def generator_device(self, device: torch.device) -> torch.device:
        """Where the views' generator lives: the device of the rows, unless the views want another."""
        return torch.device(getattr(self.views, "generator_device", device))

    @property
    def strength(self) -> float | None:
        """How strong views are, in units of their own noise; None where that is not for the loop to change."""
        return getattr(self.views, "strength_", None)

    @strength.setter
    def strength(self, value: float) -> None:
        self.views.strength_ = value

    def plain(self, x: Tensor) -> Tensor:
        """The rows without augmentation: (B, ...) -> (B, ...), float32; of 8-bit pictures by 255."""
        if hasattr(self.views, "plain"):
            return _whole(self.views.plain(x), len(x), "plain")
        if x.ndim > 2 and (x.dtype == torch.uint8) != getattr(self, "eight_bit", x.dtype == torch.uint8):
            before = "uint8" if self.eight_bit else "float"
            raise ValueError(
                f"X has {x.dtype} pixels, but was fitted with {before} ones: their scales differ, so give X as in fit."
            )
        return x.float().div_(255) if x.ndim > 2 and x.dtype == torch.uint8 else x.float()

    def weak(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Weakly augmented rows: (B, ...) -> (B, ...), of the dtype of `plain`."""
        return self.plain(x) if self.views is None else self._view("weak", x, generator)

    def strong(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Strongly augmented rows: (B, ...) -> (B, ...), of the dtype of `plain`."""
        return self.plain(x) if self.views is None else self._view("strong", x, generator)

    def _view(self, name: str, x: Tensor, generator: torch.Generator) -> Tensor:
        made = _call(self.views, name, x, generator)
        if made.dtype == torch.float32:
            return made
        return made.to(self.plain(x[:1].clone()).dtype if hasattr(self.views, "plain") else torch.float32)

    def check_scale(self, sample: Tensor, device: torch.device) -> None:
        """Raise ValueError if the caller's views of 8-bit pictures have another scale than what is predicted from.

        Copies of the views are tried on a few of the pictures (n, ...), which are sent to the ``device``.
        """
        is_ours = type(self.views).__module__.startswith(f"{__name__.partition('.')[0]}.")
        if self.views is None or is_ours or not self.eight_bit or sample.ndim < 3:
            return
        few = sample[:: max(1, len(sample) // FEW)][:FEW].to(device)
        tried = copy.copy(self)
        with contextlib.suppress(Exception):  # of any kind: how it is copied is the caller's own
            tried.views = copy.deepcopy(self.views)  # it may count its calls
        generator = torch.Generator(device=self.generator_device(device)).manual_seed(0)
        plain = _largest(tried.plain(few.clone()))
        for name, view in (("weak", tried.weak), ("strong", tried.strong)):
            made = _largest(view(few.clone(), generator))
            if made > TIMES_AS_LARGE * plain > 0 or plain > TIMES_AS_LARGE * made > 0:
                of_plain = "plain returns" if hasattr(self.views, "plain") else "predict takes, divided by 255,"
                raise ValueError(
                    f"views: {name} returns numbers up to {made:.3g} for 8-bit pictures, of which {of_plain} numbers "
                    f"up to {plain:.3g}: all must have one scale. Divide by 255 in weak and strong (x.float() / 255), "
                    "or give the views a method plain(x) that returns pictures on the scale of weak and strong."
                )


def _largest(x: Tensor) -> float:
    return float(x.abs().max())


def pixel_range(sample: Tensor) -> tuple[float, float] | None:
    """Least and largest number of float pictures (n, ...); None for 8-bit ones, which have one scale, and for rows."""
    is_float = sample.ndim > 2 and sample.is_floating_point() and sample.numel() > 0
    return (float(sample.amin()), float(sample.amax())) if is_float else None


def _call(views: Any, name: str, x: Tensor, generator: torch.Generator) -> Tensor:
    view = getattr(views, name)
    takes_generator = "generator" in inspect.signature(view).parameters
    return _whole(view(x, generator=generator) if takes_generator else view(x), len(x), name)


def _whole(made: Any, n_rows: int, name: str) -> Tensor:
    """What the views' method called ``name`` made of ``n_rows`` rows, if it is as many of them in a tensor."""
    if not isinstance(made, Tensor):
        raise TypeError(f"{name} of the views must return a Tensor, got {type(made).__name__}.")
    if made.shape[:1] != (n_rows,):
        raise ValueError(f"{name} of the views returns a tensor of shape {tuple(made.shape)} for {n_rows} rows.")
    return made
