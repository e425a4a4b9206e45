"""RandAugment with its own draw for every picture of a batch, as tensor operations on the batch's device.

Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", 2020.  The
14 operations and their ranges are torchvision's (31 magnitudes).  Each operation runs once on all the
pictures that drew it: the draws are made on the host, so every shape is known there and no step waits for
the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from noisyflywheel.views import pixelops as P

MAX_MAGNITUDE = 30

# The five geometric operations come last: they run together, as one gather.
OPS = (
    "Identity", "AutoContrast", "Equalize", "Solarize", "Posterize",
    "Color", "Contrast", "Brightness", "Sharpness",
    "Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY",
)  # fmt: skip
GEOMETRIC = OPS[9:]
BLENDS: dict[str, Callable[[Tensor, P.Ratio], Tensor]] = {
    "Color": P.color, "Contrast": P.contrast, "Brightness": P.brightness, "Sharpness": P.sharpness,
}  # fmt: skip


def rand_augment(x: Tensor, ops: Tensor, signs: Tensor, magnitude: int) -> Tensor:
    """Apply to each picture the operations drawn for it, one after the other.

    Parameters
    ----------
    x : Tensor of shape (n, C, H, W), uint8
        Pictures on any device; not changed.
    ops : Tensor of shape (n_ops, n), int64, on the CPU
        Numbers of operations in `OPS`.
    signs : Tensor of shape (n_ops, n), int64, on the CPU
        0 = plus, 1 = minus, for the operations that have a direction.
    magnitude : int in 0..30

    Returns
    -------
    Tensor of shape (n, C, H, W), uint8
    """
    for op, sign in zip(ops, signs, strict=True):
        x = apply_drawn(x, op, sign, magnitude)
    return x


def draw(n: int, n_ops: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Draw operations and signs, each (n_ops, n) int64 on the CPU, from a CPU generator."""
    ops = torch.randint(len(OPS), (n_ops, n), generator=generator)
    signs = torch.randint(2, (n_ops, n), generator=generator)
    return ops, signs


def apply_drawn(x: Tensor, op: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    """Apply one drawn operation to each picture: sort by operation, run each on its slice, sort back.

    Shapes as in `rand_augment`, `op` and `sign` (n,).
    """
    order = op.argsort(stable=True)
    x = x.index_select(0, to_device(order, x.device))
    sorted_sign = to_device(sign[order], x.device)
    ends = torch.bincount(op, minlength=len(OPS)).cumsum(0).tolist()
    parts, start = [], 0
    for name, end in zip(OPS[:9], ends, strict=False):
        if end > start:
            parts.append(pixel_op(name, x[start:end], sorted_sign[start:end], magnitude))
        start = end
    if start < len(x):
        which = to_device(2 * (op[order[start:]] - 9) + sign[order[start:]], x.device)
        parts.append(geometric_op(x[start:], which, magnitude))
    return torch.cat(parts).index_select(0, to_device(order.argsort(), x.device))


def pixel_op(name: str, x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    """Apply one of the nine operations on pixel values to all pictures; `sign` (n,) int64, on its device."""
    if name == "Identity":
        return x
    if name == "AutoContrast":
        return P.auto_contrast(x)
    if name == "Equalize":
        return P.equalize(x)
    if name == "Solarize":
        return P.solarize(x, math.ceil(255 - 255 * magnitude / MAX_MAGNITUDE))
    if name == "Posterize":
        return P.posterize(x, 8 - round(4 * magnitude / MAX_MAGNITUDE))
    return BLENDS[name](x, blend_ratio(sign, magnitude))


def blend_ratio(sign: Tensor, magnitude: int) -> P.Ratio:
    """Return the shares (r, 1 - r) of a blend, r = 1 ± 0.9 magnitude / 30, each (n, 1, 1, 1) float32."""
    change = float(torch.linspace(0.0, 0.9, MAX_MAGNITUDE + 1)[magnitude])  # rounded as torchvision's
    more, less = 1.0 + change, 1.0 - change
    minus = sign.view(-1, 1, 1, 1) == 1
    return torch.where(minus, less, more).float(), torch.where(minus, 1.0 - less, 1.0 - more).float()


def geometric_op(x: Tensor, which: Tensor, magnitude: int) -> Tensor:
    """Rotate, shear or move each picture: ``which`` (n,) = 2 * (number in `GEOMETRIC`) + sign."""
    source, inside = geometric_tables(*x.shape[2:], magnitude)
    source, inside = to_device(source, x.device), to_device(inside, x.device)
    return P.sample(x, source.index_select(0, which), inside.index_select(0, which))


@lru_cache(maxsize=8)
def geometric_tables(height: int, width: int, magnitude: int) -> tuple[Tensor, Tensor]:
    """Tell for each geometric operation and sign where each pixel comes from (nearest neighbour).

    The magnitude is one for all pictures, so ten tables hold every case.

    Returns
    -------
    source : Tensor of shape (10, H * W), int64
    inside : Tensor of shape (10, H * W), uint8
        0 where the source lies outside the picture; `source` is then some pixel of it.
    """
    y = torch.arange(height, dtype=torch.float64)[:, None] + 0.5  # pixel centres, from the top left
    x = torch.arange(width, dtype=torch.float64)[None, :] + 0.5
    sources, insides = [], []
    for name in GEOMETRIC:
        for sign in (1.0, -1.0):
            xs, ys = source_point(name, x, y, sign * magnitude / MAX_MAGNITUDE)
            column, row = (xs - 0.5).round().long(), (ys - 0.5).round().long()
            insides.append((column >= 0) & (column < width) & (row >= 0) & (row < height))
            sources.append(row.clamp(0, height - 1) * width + column.clamp(0, width - 1))
    shape = (2 * len(GEOMETRIC), height * width)
    return torch.stack(sources).view(shape), torch.stack(insides).view(shape).to(torch.uint8)


def source_point(name: str, x: Tensor, y: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Map points of the new picture to points of the old one.

    Parameters
    ----------
    name : one of `GEOMETRIC`
    x, y : Tensors of shape (1, W), (H, 1)
        Pixels, from the top left corner.
    strength : float in [-1, 1]
        Share of the largest move: 30 degrees counter-clockwise about the centre, a shear of 0.3 about the
        corner, 150/331 of the side, cut to whole pixels.

    Returns
    -------
    pair of Tensors of shape (H, W)
    """
    x, y = torch.broadcast_tensors(x, y)
    height, width = x.shape
    if name == "ShearX":
        return x + 0.3 * strength * y, y
    if name == "ShearY":
        return x, y + 0.3 * strength * x
    if name == "TranslateX":
        return x - int(150 / 331 * width * strength), y
    if name == "TranslateY":
        return x, y - int(150 / 331 * height * strength)
    angle = math.radians(30 * strength)
    dx, dy = x - width / 2, y - height / 2
    xs = math.cos(angle) * dx - math.sin(angle) * dy
    ys = math.sin(angle) * dx + math.cos(angle) * dy
    return xs + width / 2, ys + height / 2


def host_generator(generator: torch.Generator | None) -> torch.Generator | None:
    """Return a generator to draw from on the host.

    A CPU generator, or None, serves itself.  For a CUDA generator a new CPU one, seeded by its seed and its
    offset, which then moves on: both are kept on the host, so nothing waits for the device.
    """
    if generator is None or generator.device.type == "cpu":
        return generator
    seed, offset = generator.initial_seed(), generator.get_offset()
    generator.set_offset(offset + 4)
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + offset) % 2**63)  # spreads the bits


def to_device(t: Tensor, device: torch.device) -> Tensor:
    """Send a small host tensor to the device without waiting for it."""
    return t.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else t.to(device)
