import numpy as np
import pytest
from PIL import Image

from noisyflywheel.data import as_row
from noisyflywheel.data.pictures import as_pictures, read_picture

CASES = [
    ("RGBA", (0, 0, 0, 255), None),
    ("LA", (0, 255), None),
    ("PA", (1, 255), None),
    ("P", 1, 0),
    ("RGB", (9, 0, 0), (0, 0, 0)),
    ("L", 9, 0),
]
"""Mode, the colour of the second pixel, and the colour that is transparent."""


def drawing(mode, colour, clear):
    """A dark pixel on a ground that is transparent and black."""
    image = Image.new(mode, (2, 1))
    if mode in ("P", "PA"):
        image.putpalette([0, 0, 0, 9, 0, 0])
    image.putpixel((1, 0), colour)
    if clear is not None:
        image.info["transparency"] = clear
    return image


@pytest.mark.parametrize(("mode", "colour", "clear"), CASES, ids=[case[0] for case in CASES])
def test_drawings_on_transparent_ground_stand_on_white(mode, colour, clear, tmp_path):
    """They were black all over, one like the other."""
    image = drawing(mode, colour, clear)
    image.save(tmp_path / "a.tif" if mode == "PA" else tmp_path / "a.png")
    for path in tmp_path.iterdir():
        picture = np.asarray(read_picture(path, upright=True))
        assert picture[0, 0].tolist() == [255, 255, 255] and picture[0, 1].max() <= 9
        assert (as_pictures([path], [0])[0] == picture).all()
    if mode in ("P", "PA"):
        assert as_row((image, 1)).tolist() == [[[255, 255, 255], [9, 0, 0]]]


def test_half_transparent_red_is_pink(tmp_path):
    Image.new("RGBA", (1, 1), (255, 0, 0, 51)).save(tmp_path / "a.png")
    assert np.asarray(read_picture(tmp_path / "a.png")).tolist() == [[[255, 204, 204]]]
