import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noisyflywheel.audit.pictures import as_pictures, channels_last, data_uri, is_paths, to_uint8


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5, 8, 9), (5, 8, 9, 1)), ((5, 8, 9, 3), (5, 8, 9, 3)), ((5, 3, 8, 9), (5, 8, 9, 3))],
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


def test_files_and_data_uri(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (600, 300), 200).save(path)
    (picture,) = as_pictures([path], [0])
    assert picture.shape == (128, 256, 3)
    head, body = data_uri(picture, 64).split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (64, 32)
    assert is_paths(["a"])
    assert not is_paths(np.zeros(3))
    assert not is_paths([])


def test_small_pictures_are_enlarged_by_a_whole_factor():
    uri = data_uri(np.zeros((8, 8, 3), np.uint8), 60)
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert image.size == (56, 56)
    assert image.format == "PNG"
