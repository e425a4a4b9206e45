"""RandAugment's operations on pixel values, each a pure function of a batch of 8-bit pictures.

Every function takes `x`, uint8 (n, C, H, W) on any device, and returns the same shape and dtype.
Arithmetic is float32 in the order of torchvision's 8-bit operations, so that results are equal bit by
bit.  `ratio` is a pair (r, 1 - r), each (n, 1, 1, 1) float32: the share of the picture and of what it is
blended with.  Nothing here waits for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

Ratio = tuple[Tensor, Tensor]

GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # ITU-R 601 luma, to the digits torchvision uses


def auto_contrast(x: Tensor) -> Tensor:
    """Stretch each channel of each picture to 0..255; a channel of one value stays."""
    low = x.amin(dim=(2, 3), keepdim=True).float()
    high = x.amax(dim=(2, 3), keepdim=True).float()
    flat = high == low
    scale = torch.where(flat, 1.0, 255.0 / (high - low))
    return (x - low.masked_fill(flat, 0.0)).mul_(scale).clamp_(0, 255).to(torch.uint8)


def equalize(x: Tensor) -> Tensor:
    """Equalize each channel's histogram; with fewer than 255 pixels below its brightest value it stays."""
    n, c, h, w = x.shape
    values = x.reshape(n * c, h * w).long()
    hist = torch.zeros(n * c, 256, dtype=torch.int32, device=x.device)
    hist.scatter_add_(1, values, torch.ones((), dtype=torch.int32, device=x.device).expand_as(values))
    brightest = hist.gather(1, values.amax(dim=1, keepdim=True))
    step = (h * w - brightest) // 255  # (n*C, 1)
    below = hist.cumsum(dim=1, dtype=torch.int32) - hist
    lut = ((below + step // 2) // step.clamp(min=1)).clamp_(0, 255)
    lut[:, 0] = 0
    lut = torch.where(step == 0, torch.arange(256, dtype=torch.int32, device=x.device), lut)
    return lut.to(torch.uint8).gather(1, values).view(n, c, h, w)


def solarize(x: Tensor, threshold: int) -> Tensor:
    """Invert the pixels of at least `threshold`, 0..256."""
    return torch.where(x >= threshold, 255 - x, x)


def posterize(x: Tensor, bits: int) -> Tensor:
    """Keep the highest `bits` bits, 0..8, of each pixel."""
    return x & (256 - 2 ** (8 - bits))


def color(x: Tensor, ratio: Ratio) -> Tensor:
    """Blend with the grey picture; pictures that are not RGB (C = 3) stay."""
    return blend(x, grey(x), ratio) if x.shape[1] == 3 else x


def contrast(x: Tensor, ratio: Ratio) -> Tensor:
    """Blend with the mean grey of the picture; of pictures that are not RGB, with their mean."""
    level = grey(x) if x.shape[1] == 3 else x.float()
    return blend(x, level.mean(dim=(1, 2, 3), keepdim=True), ratio)


def brightness(x: Tensor, ratio: Ratio) -> Tensor:
    """Blend with black."""
    return (ratio[0] * x).clamp_(0, 255).to(torch.uint8)


def sharpness(x: Tensor, ratio: Ratio) -> Tensor:
    """Blend with the smoothed picture; pictures of at most 2 pixels a side stay."""
    return blend(x, smooth(x), ratio) if min(x.shape[2:]) > 2 else x


def blend(x: Tensor, other: Tensor, ratio: Ratio) -> Tensor:
    """Mix ``r * x + (1 - r) * other``, clamp to 0..255, cut to whole numbers; `other` is float32."""
    return (ratio[0] * x).add_(ratio[1] * other).clamp_(0, 255).to(torch.uint8)


def grey(x: Tensor) -> Tensor:
    """Give the luma of RGB pictures, cut to whole numbers, float32 (n, 1, H, W)."""
    r, g, b = (weight * x[:, c : c + 1] for c, weight in enumerate(GREY_WEIGHTS))
    return (r + g).add_(b).trunc_()


def smooth(x: Tensor) -> Tensor:
    """Smooth the inside with the kernel [1 1 1; 1 5 1; 1 1 1] / 13, rounded; borders stay; returns float32.

    Sums of 8-bit numbers are exact in float32, and no thirteenth lies near a half, so any order gives the
    same.
    """
    f = x.float()
    rows = f[..., :-2] + f[..., 1:-1] + f[..., 2:]
    box = rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]
    inside = box.add_(f[..., 1:-1, 1:-1], alpha=4).div_(13).round_()
    f[..., 1:-1, 1:-1] = inside
    return f


def sample(x: Tensor, source: Tensor, inside: Tensor) -> Tensor:
    """Fetch each pixel of picture i from ``source[i]``; black where ``inside[i]`` is 0.

    Parameters
    ----------
    x : Tensor of shape (n, C, H, W), uint8
    source : Tensor of shape (n, H * W), int64
        Row-major pixel numbers, 0..H*W-1.
    inside : Tensor of shape (n, H * W), uint8
        1 or 0.
    """
    n, c, h, w = x.shape
    pixels = x.reshape(n, c, h * w).gather(2, source[:, None].expand(n, c, h * w))
    return pixels.mul_(inside[:, None]).view(n, c, h, w)
