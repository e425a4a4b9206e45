"""Reading picture files, and rows of any layout as pictures."""

import io
import itertools
import pickle
import struct
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import TensorDataset

from noisyflywheel.data.pictures import (
    ORIENTATION,
    PLAIN_MODES,
    ImageReadError,
    as_pictures,
    channels_last,
    in_order,
    is_paths,
    read_picture,
    to_uint8,
)


def test_files_have_one_order_on_every_system():
    names = ["cat/b.png", "cat/C.png", "Dog/a.png", "cat/a-1/z.png", "cat/a/z.png"]
    expected = ["Dog/a.png", "cat/C.png", "cat/a/z.png", "cat/a-1/z.png", "cat/b.png"]  # that of Linux
    for system in (PurePosixPath, PureWindowsPath):
        assert [path.as_posix() for path in in_order(map(system, names))] == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 8, 9), (5, 8, 9, 1)),
        ((5, 8, 9, 3), (5, 8, 9, 3)),
        ((5, 3, 8, 9), (5, 8, 9, 3)),
        ((5, 3, 4, 4), (5, 4, 4, 3)),  # where both axes may be channels, pictures are square if they can be
        ((5, 4, 4, 3), (5, 4, 4, 3)),
        ((5, 1, 64, 4), (5, 64, 4, 1)),
        ((5, 3, 1, 1), (5, 1, 1, 3)),
        ((5, 4, 4, 4), (5, 4, 4, 4)),
    ],
)
def test_layouts(shape, expected):
    assert channels_last(np.zeros(shape)).shape == expected


@pytest.mark.parametrize("shape", [(5, 8), (5, 8, 9, 7), (5, 2, 8, 9)])
def test_what_is_no_picture(shape):
    with pytest.raises(ValueError, match="no pictures"):
        channels_last(np.zeros(shape))


def test_pixel_values():
    np.testing.assert_array_equal(to_uint8(np.array([0.0, 0.5, 1.0])), [0, 128, 255])
    np.testing.assert_array_equal(to_uint8(np.array([-1.0, 0.0, 1.0])), [0, 128, 255])
    np.testing.assert_array_equal(to_uint8(np.array([0, 8, 16])), [0, 128, 255])
    np.testing.assert_array_equal(to_uint8(np.array([7, 9], np.uint8)), [7, 9])


def test_vectors_frames_and_transparency():
    X = np.arange(32).reshape(2, 16) / 31
    (picture,) = as_pictures(pd.DataFrame(X), [1], (4, 4))
    assert picture.shape == (4, 4, 3)
    assert picture[-1, -1, 0] == 255
    (clear,) = as_pictures(np.zeros((1, 4, 4, 4), np.uint8), [0])
    assert clear.shape == (4, 4, 3)
    assert as_pictures(X, []) == []


def test_items_of_a_dataset_are_pictures():
    grey = torch.arange(50, dtype=torch.uint8).reshape(2, 1, 5, 5)
    (picture,) = as_pictures(TensorDataset(grey, torch.zeros(2)), np.array([1]))
    assert picture.shape == (5, 5, 3) and picture[0, 1].tolist() == [26] * 3


def test_files(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (600, 300), 200).save(path)
    (picture,) = as_pictures([path], [0])
    assert picture.shape == (128, 256, 3)
    assert is_paths(["a"])
    assert not is_paths(np.zeros(3))
    assert not is_paths([])


def sideways(path, mode="RGB"):
    """A picture of 6 x 4 pixels whose camera was turned: EXIF orientation 6."""
    image = Image.new(mode, (6, 4))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    return path


def test_a_picture_is_turned_only_where_asked(tmp_path):
    path = sideways(tmp_path / "a.jpg")
    assert read_picture(path).size == (6, 4)
    assert read_picture(path, upright=True).size == (4, 6)
    assert as_pictures([str(path)], [0])[0].shape == (6, 4, 3)


def test_about_decodes_no_more_than_needed(tmp_path):
    Image.new("RGB", (512, 512)).save(tmp_path / "a.jpg")
    assert read_picture(tmp_path / "a.jpg", about=100).size == (128, 128)
    assert read_picture(tmp_path / "a.jpg").size == (512, 512)


def test_modes(tmp_path):
    Image.new("RGBA", (2, 2)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").mode == "RGB"
    with pytest.raises(ImageReadError, match=r"a.png has 4 channel\(s\) of mode RGBA"):
        read_picture(tmp_path / "a.png", modes=PLAIN_MODES)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ImageReadError, match="none.png is missing"):
        as_pictures([tmp_path / "none.png"], [0])
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    with pytest.raises(ImageReadError, match=r"cut.jpg cannot be read: OSError: image file is truncated") as error:
        read_picture(tmp_path / "cut.jpg")
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_a_damaged_palette_names_the_file(tmp_path):
    """Its colours have 32 bits, by one byte of the file, and are larger than Pillow's."""
    Image.new("P", (4, 4)).save(tmp_path / "a.tif")
    whole, colours = (tmp_path / "a.tif").read_bytes(), struct.Struct("<HHI")
    damaged = whole.replace(colours.pack(320, 3, 768), colours.pack(320, 4, 768)) + 4096 * b"\xff"
    (tmp_path / "a.tif").write_bytes(damaged)
    with pytest.raises(ImageReadError, match=r"a.tif cannot be read: OverflowError"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "b.tif"])
def test_of_16_bit_grey_the_upper_bits_are_taken(name, tmp_path):
    """By the type, not by the range of one picture: they stay comparable."""
    levels = np.array([[0, 255, 256], [12_000, 42_000, 65_535]], dtype=">u2" if name[0] == "b" else "u2")
    Image.fromarray(levels).save(tmp_path / name)
    picture = read_picture(tmp_path / name, upright=True)
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture)[..., 0], [[0, 0, 1], [46, 164, 255]])
    np.testing.assert_array_equal(as_pictures([tmp_path / name], [0])[0][..., 2], [[0, 0, 1], [46, 164, 255]])


@pytest.mark.parametrize(("dtype", "mode"), [(np.int32, "I"), (np.float32, "F")])
def test_pixels_of_32_bits_are_refused(dtype, mode, tmp_path):
    Image.fromarray(np.ones((2, 2), dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ImageReadError, match=rf"a.tif has 32-bit pixels \(mode {mode}\)"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF"])
def test_pictures_are_turned_as_pillow_turns_them(kind):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 9, 3)).astype(np.uint8)
    for orientation in range(10):
        exif, file = Image.Exif(), io.BytesIO()
        exif[ORIENTATION] = orientation
        Image.fromarray(pixels).save(file, kind, exif=exif)
        with Image.open(file) as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(np.asarray(read_picture(file, upright=True)), expected)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_damaged_exif_stops_nothing(kind):
    """Among them a text whose type says that it is numbers: it can be read, but not be written back."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x010E], exif[ORIENTATION] = "x" * 8, 6
    Image.new("RGB", (8, 4)).save(file, kind, exif=exif)
    whole = file.getvalue()
    start = whole.index(b"MM\0*")
    for i, code in itertools.product(range(start, start + 40), (0, 1, 3, 4, 5, 7, 10, 12, 255)):
        damaged = io.BytesIO(whole[:i] + bytes([code]) + whole[i + 1 :])
        assert read_picture(damaged, upright=True).size in ((8, 4), (4, 8))
