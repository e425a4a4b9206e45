"""A small CIFAR-10 in the published form."""

import hashlib
import pickle

import pytest
import torch
from torchvision.datasets import CIFAR10

from noisyflywheel.noise.maps import CIFAR10_CLASSES


def write(path, content):
    """Write one pickle of CIFAR's; returns torchvision's (name, digest)."""
    path.write_bytes(pickle.dumps(content))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


def batch(X, y):
    return {"data": X.transpose(0, 3, 1, 2).reshape(len(X), -1), "labels": y.tolist()}


@pytest.fixture(scope="session")
def cifar10(grey_cifar, worse_labels, tmp_path_factory):
    """Folder of 60 + 30 pictures with CIFAR-10N's label file beside them."""
    X, y = grey_cifar
    root = tmp_path_factory.mktemp("data")
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    meta = write(folder / "batches.meta", {"label_names": list(CIFAR10_CLASSES)})
    torch.save({"worse_label": worse_labels, "clean_label": y[:60]}, root / "CIFAR-10_human.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CIFAR10, "train_list", [write(folder / "data_batch_1", batch(X[:60], y[:60]))])
        patch.setattr(CIFAR10, "test_list", [write(folder / "test_batch", batch(X[60:], y[60:]))])
        patch.setattr(CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
        yield root
