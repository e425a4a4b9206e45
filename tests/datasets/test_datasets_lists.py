"""Clothing1M and WebVision, on small made trees of the same form."""

import pytest
from PIL import Image

from noisyflywheel.datasets import BadImagesError, BadImagesWarning, load_clothing1m, load_webvision

KEYS = ["images/0/a.jpg", "images/0/b.jpg", "images/1/c d.jpg"]


def save(path, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


@pytest.fixture(params=["", "annotations"])
def clothing(tmp_path, request):
    lists = tmp_path / request.param
    lists.mkdir(exist_ok=True)
    for key in KEYS:
        save(tmp_path / key)
    (lists / "noisy_train_key_list.txt").write_text("\n".join(KEYS) + "\n")
    (lists / "noisy_label_kv.txt").write_text("".join(f"{key} {i * 6}\n" for i, key in enumerate(KEYS)))
    (lists / "clean_test_key_list.txt").write_text(KEYS[1] + "\n")
    (lists / "clean_label_kv.txt").write_text(f"{KEYS[1]} 13\n")
    return tmp_path, lists


def test_clothing1m(clothing):
    root, _ = clothing
    data = load_clothing1m(root)
    assert data.y.tolist() == [0, 6, 12] and data.y_clean is None and len(data.class_names) == 14
    assert data.X[2][0].shape == (3, 224, 224) and data.X[2][1] == 12
    test = load_clothing1m(root, "test", size=16)
    assert test.y.tolist() == test.y_clean.tolist() == [13] and test.X[0][0].shape == (3, 16, 16)


def test_clothing1m_lists_that_are_missing_or_wrong(clothing):
    root, lists = clothing
    with pytest.raises(ValueError, match="split must be one of"):
        load_clothing1m(root, "train")
    with pytest.raises(FileNotFoundError, match="clean_val_key_list.txt is missing: Clothing1M's list"):
        load_clothing1m(root, "val")
    labels = lists / "noisy_label_kv.txt"
    labels.write_text(f"{KEYS[0]} 14\n")
    with pytest.raises(ValueError, match="noisy_label_kv.txt: labels must be in 0..13, got '14'"):
        load_clothing1m(root)
    labels.write_text(f"{KEYS[0]} 1\n")
    with pytest.raises(ValueError, match="noisy_label_kv.txt has no label for images/0/b.jpg"):
        load_clothing1m(root)
    labels.write_text("images/0/a.jpg\n")
    with pytest.raises(ValueError, match="noisy_label_kv.txt: expected a name and a label"):
        load_clothing1m(root)


def test_clothing1m_bad_pictures(clothing):
    root, _ = clothing
    (root / KEYS[1]).unlink()
    with pytest.raises(BadImagesError, match="b.jpg is missing"):
        load_clothing1m(root)
    with pytest.warns(BadImagesWarning, match="b.jpg is missing") as caught:
        data = load_clothing1m(root, on_error="skip")
    assert caught[0].filename == __file__
    assert data.y.tolist() == [0, 12] and len(data.X) == 2
    assert len(load_clothing1m(root, verify=False).X) == 3


@pytest.fixture
def webvision(tmp_path):
    info = tmp_path / "info"
    info.mkdir()
    names = ["google/q1/a.jpg", "google/q2/b.jpg", "google/q3/c.jpg"]
    for name in names:
        save(tmp_path / name)
    save(tmp_path / "val_images_256" / "v.jpg")
    lines = [f"{name} {label}\n" for name, label in zip(names, (0, 49, 50), strict=True)]
    (info / "train_filelist_google.txt").write_text("".join(lines))
    (info / "val_filelist.txt").write_text("v.jpg 1\n")
    (info / "synsets.txt").write_text("".join(f"n{i:08d} name{i}, other\n" for i in range(60)))
    return tmp_path


def test_webvision(webvision):
    data = load_webvision(webvision)
    assert data.y.tolist() == [0, 49] and data.y_clean is None
    assert len(data.class_names) == 50 and data.class_names[49] == "name49"
    assert data.X[0][0].shape == (3, 299, 299)
    val = load_webvision(webvision, train=False, size=32)
    assert val.y.tolist() == val.y_clean.tolist() == [1] and val.X[0][0].shape == (3, 32, 32)
    assert load_webvision(webvision, n_classes=51).y.tolist() == [0, 49, 50]


def test_webvision_lists_that_are_missing_or_wrong(webvision):
    with pytest.raises(ValueError, match="synsets.txt names 60 classes, 61 were asked for"):
        load_webvision(webvision, n_classes=61)
    path = webvision / "info" / "train_filelist_google.txt"
    path.write_text("/etc/picture.jpg 0\n")
    with pytest.raises(ValueError, match="outside the data's folder: /etc/picture.jpg"):
        load_webvision(webvision)
    path.write_text("google/q3/c.jpg 77\n")
    with pytest.raises(ValueError, match="lists no picture of classes 0 to 49"):
        load_webvision(webvision)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="train_filelist_google.txt is missing"):
        load_webvision(webvision)
