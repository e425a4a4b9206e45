"""CIFAR as torchvision stores it, and the CIFAR-10N archive: small made copies of the same form."""

import hashlib
import io
import pickle

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from noisyflywheel.datasets import (
    BadImagesError,
    BadImagesWarning,
    load_cifar10,
    load_cifar10n,
    load_cifar100,
)

RNG = np.random.default_rng(0)


def write_batch(path, n, key):
    """Write one pickled batch of CIFAR's form; returns torchvision's (name, digest)."""
    batch = {"data": RNG.integers(0, 256, (n, 3072), dtype=np.uint8), key: [i % 10 for i in range(n)]}
    return write_pickle(path, batch)


def write_pickle(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    train = [write_batch(folder / f"data_batch_{i}", 4, "labels") for i in range(1, 3)]
    meta = write_pickle(folder / "batches.meta", {"label_names": [f"class{i}" for i in range(10)]})
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [write_batch(folder / "test_batch", 3, "labels")])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    return tmp_path


def test_cifar10(cifar10):
    data = load_cifar10(cifar10)
    assert data.X.shape == (8, 32, 32, 3) and data.X.dtype == np.uint8
    assert data.y.tolist() == data.y_clean.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert data.class_names[3] == "class3"
    assert len(load_cifar10(cifar10, train=False).y) == 3


def test_cifar10_with_given_labels(cifar10):
    np.savez(cifar10 / "n.npz", worse=np.arange(8))
    data = load_cifar10(cifar10, label_file=cifar10 / "n.npz", member="worse")
    assert data.y.tolist() == list(range(8)) and data.y_clean.tolist() == [0, 1, 2, 3] * 2
    with pytest.raises(ValueError, match="n.npz has 8 labels for the 3 pictures"):
        load_cifar10(cifar10, train=False, label_file=cifar10 / "n.npz", member="worse")


def test_cifar10_missing_and_damaged(cifar10, tmp_path):
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py is missing"):
        load_cifar10(tmp_path / "nowhere")
    (cifar10 / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"other content")
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py lacks a file, or one is damaged"):
        load_cifar10(cifar10)


def test_cifar100(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-100-python"
    meta = write_pickle(folder / "meta", {"fine_label_names": [f"fine{i}" for i in range(100)]})
    monkeypatch.setattr(CIFAR100, "train_list", [write_batch(folder / "train", 5, "fine_labels")])
    monkeypatch.setattr(CIFAR100, "test_list", [write_batch(folder / "test", 2, "fine_labels")])
    monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": meta[1]})
    data = load_cifar100(tmp_path)
    assert data.X.shape == (5, 32, 32, 3) and data.class_names[99] == "fine99"


def archive(path, n_train=4, n_test=2, bad=None, **changes):
    """Write a small archive of the CIFAR-10N form; picture i is flat grey of value 10 i."""
    files = []
    for i in range(n_train + n_test):
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), (10 * i,) * 3).save(buffer, "jpeg")
        files.append(b"no picture" if i == bad else buffer.getvalue())
    members = {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "y_clean": np.arange(n_train, dtype=np.uint8),
        "y_worse": np.arange(n_train, dtype=np.uint8)[::-1],
        "y_test": np.full(n_test, 7, dtype=np.uint8),
        "class_names": np.array(["airplane", "automobile"]),
    } | changes
    np.savez(path, **{name: value for name, value in members.items() if value is not None})
    return path


def test_cifar10n(tmp_path):
    path = archive(tmp_path / "n.npz")
    data = load_cifar10n(path)
    assert data.X.shape == (4, 32, 32, 3) and abs(int(data.X[3, 0, 0, 0]) - 30) <= 1
    assert data.y.tolist() == [3, 2, 1, 0] and data.y_clean.tolist() == [0, 1, 2, 3]
    assert data.class_names == ("airplane", "automobile")
    test = load_cifar10n(path, train=False)
    assert test.y.tolist() == [7, 7] and abs(int(test.X[0, 0, 0, 0]) - 40) <= 1
    assert len(load_cifar10n(path, "clean", n_rows=2).y) == 2


def test_cifar10n_bad_picture(tmp_path):
    path = archive(tmp_path / "n.npz", bad=1)
    with pytest.raises(BadImagesError, match="n.npz, picture 1 cannot be read"):
        load_cifar10n(path)
    with pytest.warns(BadImagesWarning, match="picture 1"):
        data = load_cifar10n(path, on_error="skip")
    assert data.y.tolist() == [3, 1, 0] and data.y_clean.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_worse": None}, "n.npz has no member y_worse; it has class_names, jpeg"),
        ({"jpeg": None, "y_test": None}, "has no member jpeg, y_test"),
        ({"offsets": np.arange(3)}, "offsets has 3 entries for 4 \\+ 2 pictures"),
        ({"offsets": np.array([0, 9, 8, 9, 9, 9, 9])}, "offsets do not rise"),
        ({"offsets": np.arange(7) * 10**9}, "offsets do not rise"),
        ({"y_worse": np.arange(3)}, "y_worse has 3 labels for 4 pictures"),
    ],
)
def test_cifar10n_archives_that_do_not_fit(tmp_path, changes, message):
    path = archive(tmp_path / "n.npz", **changes)
    with pytest.raises(ValueError, match=message):
        load_cifar10n(path)


def test_cifar10n_missing_or_no_archive(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.npz is missing"):
        load_cifar10n(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match="text.npz is no .npz archive"):
        load_cifar10n(tmp_path / "text.npz")
