"""Pictures that are transparent in parts."""

from __future__ import annotations

from PIL import Image

CLEAR_MODES = ("LA", "PA", "RGBA", "RGBa")
"""Pillow's modes of 8-bit pictures that say of each pixel how far one sees through it."""


def on_white(image: Image.Image) -> Image.Image:
    """An 8-bit picture as RGB, as one sees it on white paper: the colour of what is transparent means nothing."""
    if image.mode not in CLEAR_MODES and "transparency" not in image.info:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
