"""CIFAR as torchvision stores it: small made copies of the same form."""

import hashlib
import pickle

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from noisyflywheel.datasets import (
    load_cifar10,
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
    with pytest.raises(ValueError, match="member='worse' needs the label_file"):
        load_cifar10(cifar10, member="worse")


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
