"""Reading pictures: formats, sizes, bad files refused or skipped, lazy reading."""

import io
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from noisyflywheel.datasets import BadImagesError, BadImagesWarning, ImageFiles
from noisyflywheel.datasets.base import ImageReadError, check_files, load_files, read_image, read_images


def save(path, size=(8, 6), mode="RGB", value=100):
    """Write a flat picture; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new(mode, size)
    image.paste(value if mode in "LP" else (value,) * len(image.getbands()), (0, 0, *size))
    image.save(path)
    return path


def truncate(path):
    """Cut the second half off a file of noise, so that pixels are really missing."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_read_image_gives_rgb(tmp_path):
    for mode in ("RGB", "L", "P"):
        picture = read_image(save(tmp_path / f"{mode}.png", mode=mode))
        assert picture.shape == (6, 8, 3) and picture.dtype == np.uint8
    assert (read_image(tmp_path / "L.png") == 100).all()


def test_read_image_from_a_file_object():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (1, 2, 3)).save(buffer, "png")
    assert (read_image(buffer) == [1, 2, 3]).all()


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (7, 9), (20, 20)])
def test_read_image_fits_a_square_about_the_centre(tmp_path, size):
    assert read_image(save(tmp_path / "a.png", size), 10).shape == (10, 10, 3)
    half = Image.new("RGB", (30, 10))
    half.paste((255, 255, 255), (10, 0, 20, 10))
    half.save(tmp_path / "half.png")
    assert (read_image(tmp_path / "half.png", 10) == 255).all()


def test_read_image_reasons(tmp_path):
    with pytest.raises(ImageReadError, match="is missing"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ImageReadError, match="cannot be read: UnidentifiedImageError"):
        read_image(tmp_path / "text.png")
    for suffix in ("jpg", "png"):
        with pytest.raises(ImageReadError, match="cannot be read"):
            read_image(truncate(tmp_path / f"cut.{suffix}"))
    with pytest.raises(ImageReadError, match="4 channel\\(s\\) of mode RGBA"):
        read_image(save(tmp_path / "a.png", mode="RGBA"))
    with pytest.raises(ImageReadError, match="4 channel\\(s\\) of mode CMYK"):
        read_image(save(tmp_path / "a.jpg", mode="CMYK"))


def sources(paths):
    return [(str(p), p) for p in paths]


def test_read_images_refuses_and_lists_every_bad_one(tmp_path):
    paths = [save(tmp_path / "a.png"), truncate(tmp_path / "b.png"), save(tmp_path / "c.png", (8, 8))]
    with pytest.raises(BadImagesError, match="2 picture\\(s\\)") as error:
        read_images(sources(paths), 3, "raise")
    assert [path for path, _ in error.value.problems] == [str(paths[1]), str(paths[2])]
    assert "c.png is 8x8 pixels, the others are 8x6" in str(error.value)


def test_read_images_skips_with_a_warning(tmp_path):
    paths = [tmp_path / "none.png", save(tmp_path / "a.png", value=5), save(tmp_path / "b.png", value=6)]
    with pytest.warns(BadImagesWarning, match="none.png is missing"):
        X, kept = read_images(sources(paths), 3, "skip")
    assert X.shape == (2, 6, 8, 3) and kept.tolist() == [1, 2]
    assert X[:, 0, 0, 0].tolist() == [5, 6]


def test_nothing_left_is_an_error_in_any_case(tmp_path):
    with pytest.raises(BadImagesError, match="none.png is missing"):
        read_images(sources([tmp_path / "none.png"]), 1, "skip")
    with pytest.raises(ValueError, match="there are no pictures"):
        read_images([], 0, "raise")


def test_long_lists_are_cut_in_the_message(tmp_path):
    with pytest.raises(BadImagesError, match="and 5 more") as error:
        check_files([tmp_path / f"{i}.png" for i in range(25)], "raise")
    assert len(error.value.problems) == 25


def test_check_files(tmp_path):
    paths = [save(tmp_path / "a.png"), truncate(tmp_path / "b.jpg"), save(tmp_path / "c.png", (9, 9))]
    with pytest.warns(BadImagesWarning, match="1 picture"):
        assert check_files(paths, "skip").tolist() == [0, 2]


def test_image_files(tmp_path):
    paths = [save(tmp_path / "a.png", (30, 20), value=9), tmp_path / "none.png"]
    files = ImageFiles(paths, np.array([4, 5]), 16)
    x, y = files[0]
    assert len(files) == 2 and y == 4 and x.shape == (3, 16, 16) and x.dtype == torch.uint8 and (x == 9).all()
    with pytest.raises(BadImagesError, match="none.png is missing"):
        files[1]
    assert pickle.loads(pickle.dumps(files))[0][1] == 4


def test_bad_images_error_survives_worker_processes():
    error = pickle.loads(pickle.dumps(BadImagesError("text", [("a", "b")])))
    assert str(error) == "text"


def test_load_files(tmp_path):
    paths, y = [save(tmp_path / "a.png"), tmp_path / "none.png"], np.array([0, 1])
    files, labels = load_files(paths, y, 8, True, False, "raise")
    assert len(files) == 2 and labels.tolist() == [0, 1]
    with pytest.warns(BadImagesWarning):
        files, labels = load_files(paths, y, 8, True, True, "skip")
    assert len(files) == 1 and labels.tolist() == [0]
    with pytest.raises(ValueError, match="needs a size"):
        load_files(paths, y, None, True, True, "raise")
    with pytest.raises(ValueError, match="'raise' or 'skip', got 'ignore'"):
        load_files(paths, y, 8, True, False, "ignore")
