"""Class folders and Tiny-ImageNet, on small made trees of the same form."""

import numpy as np
import pytest
from PIL import Image

from noisyflywheel.datasets import (
    BadImagesError,
    BadImagesWarning,
    ImageFiles,
    load_image_folder,
    load_tiny_imagenet,
)


def save(path, size=(64, 64), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path)


@pytest.fixture
def folder(tmp_path):
    for name, n in (("dog", 2), ("cat", 3)):
        for i in range(n):
            save(tmp_path / name / f"{i}.png", (8, 8))
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "readme.txt").write_text("not a class")
    return tmp_path


def test_image_folder(folder):
    data = load_image_folder(folder)
    assert data.X.shape == (5, 8, 8, 3) and data.class_names == ("cat", "dog") and data.y_clean is None
    assert data.y.tolist() == [0, 0, 0, 1, 1]


def test_image_folder_lazy(folder):
    data = load_image_folder(folder, lazy=True, size=12)
    assert isinstance(data.X, ImageFiles) and data.X[4][0].shape == (3, 12, 12) and data.X[4][1] == 1


def test_class_folders_without_pictures_are_named(folder):
    (folder / "fox").mkdir()
    (folder / "fox" / "0.heic").write_bytes(b"of a telephone")
    with pytest.warns(BadImagesWarning, match=r"without pictures: fox \(a picture ends in .avif") as caught:
        assert load_image_folder(folder).class_names == ("cat", "dog", "fox")
    assert caught[0].filename == __file__
    save(folder / "fox" / "1.png", (8, 8))
    (folder / "fox" / "1.png").rename(folder / "fox" / "1.jfif")
    assert load_image_folder(folder).y.tolist() == [0, 0, 0, 1, 1, 2]


def test_image_folder_mixed_sizes(folder):
    save(folder / "dog" / "0.png", (9, 8))
    with pytest.raises(BadImagesError, match="0.png is 9x8 pixels, the others are 8x8"):
        load_image_folder(folder)
    with pytest.warns(BadImagesWarning, match="0.png") as caught:
        assert load_image_folder(folder, on_error="skip").y.tolist() == [0, 0, 0, 1]
    assert caught[0].filename == __file__
    assert load_image_folder(folder, size=8).X.shape == (5, 8, 8, 3)


def test_image_folder_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is missing"):
        load_image_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no class folders"):
        load_image_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        load_image_folder(tmp_path)


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "wnids.txt").write_text("n02\nn01\n")
    (tmp_path / "words.txt").write_text("n01\tgoldfish, Carassius\nn03\tother\n")
    for wnid in ("n01", "n02"):
        for i in range(2):
            save(tmp_path / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", mode="L" if i else "RGB")
    save(tmp_path / "val" / "images" / "val_0.JPEG")
    (tmp_path / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t0\t9\t9\n")
    return tmp_path


def test_tiny_imagenet(tiny):
    data = load_tiny_imagenet(tiny)
    assert data.X.shape == (4, 64, 64, 3) and data.y.tolist() == [0, 0, 1, 1]
    assert data.class_names == ("goldfish", "n02")
    np.testing.assert_array_equal(data.y, data.y_clean)
    assert load_tiny_imagenet(tiny, train=False).y.tolist() == [1]
    assert load_tiny_imagenet(tiny, lazy=True).X[3][0].shape == (3, 64, 64)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("size", [0, -1, 4.5, True])
def test_image_folder_size_that_is_none(folder, size, lazy):
    with pytest.raises(ValueError, match=f"size must be an int of at least 1, got {size}"):
        load_image_folder(folder, size=size, lazy=lazy)


def test_tiny_imagenet_class_that_is_listed_twice(tiny):
    before = load_tiny_imagenet(tiny)
    (tiny / "wnids.txt").write_text((tiny / "wnids.txt").read_text() + "\nn01\n")
    again = load_tiny_imagenet(tiny)
    assert again.y.tolist() == before.y.tolist() and again.class_names == before.class_names


@pytest.mark.parametrize("name", ["wnids.txt", "words.txt"])
def test_tiny_imagenet_missing_lists(tiny, name):
    (tiny / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        load_tiny_imagenet(tiny)


def test_tiny_imagenet_validation_errors(tiny):
    annotations = tiny / "val" / "val_annotations.txt"
    annotations.write_text("val_0.JPEG\tn09\n")
    with pytest.raises(ValueError, match="val_annotations.txt names the class n09"):
        load_tiny_imagenet(tiny, train=False)
    annotations.write_text("../../secret.png\tn01\n")
    with pytest.raises(ValueError, match="outside the data's folder"):
        load_tiny_imagenet(tiny, train=False)
    annotations.unlink()
    with pytest.raises(FileNotFoundError, match="val_annotations.txt is missing"):
        load_tiny_imagenet(tiny, train=False)


def test_tiny_imagenet_missing_class_and_bad_picture(tiny):
    bad = tiny / "train" / "n01" / "images" / "n01_0.JPEG"
    bad.write_bytes(bad.read_bytes()[:100])
    with pytest.raises(BadImagesError, match="n01_0.JPEG cannot be read"):
        load_tiny_imagenet(tiny)
    with pytest.warns(BadImagesWarning, match="n01_0.JPEG") as caught:
        assert load_tiny_imagenet(tiny, on_error="skip").y.tolist() == [0, 1, 1]
    assert caught[0].filename == __file__
    (tiny / "wnids.txt").write_text("n01\nn07\n")
    with pytest.raises(FileNotFoundError, match="n07"):
        load_tiny_imagenet(tiny)
