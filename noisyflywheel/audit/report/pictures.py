"""Pictures inside a report."""

from __future__ import annotations

import base64
import io

from PIL import Image

from noisyflywheel.data.pictures import Picture


def data_uri(picture: Picture, size: int = 96) -> str:
    """Picture (H, W, 3) as a PNG or JPEG data URI whose longer side is about `size` pixels.

    Small pictures are enlarged without smoothing, by a whole factor.
    """
    image = Image.fromarray(picture)
    longer = max(image.size)
    if longer * 2 <= size:
        factor = size // longer
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    else:
        image.thumbnail((size, size))
    kind, options = ("PNG", {"optimize": True}) if longer < 32 else ("JPEG", {"quality": 85})
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
