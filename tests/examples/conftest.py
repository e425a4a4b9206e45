"""An archive of JPEG copies as the benchmarks take it."""

import io

import numpy as np
import pytest
from PIL import Image

from noisyflywheel.noise.maps import CIFAR10_CLASSES


@pytest.fixture(scope="session")
def cifar10n(grey_cifar, worse_labels, tmp_path_factory):
    """Path of cifar10n.npz: 60 + 30 pictures and CIFAR-10N's worse labels."""
    X, y = grey_cifar
    files = []
    for picture in X:
        Image.fromarray(picture).save(buffer := io.BytesIO(), "JPEG", quality=75)
        files.append(buffer.getvalue())
    path = tmp_path_factory.mktemp("data") / "cifar10n.npz"
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        y_clean=y[:60].astype(np.uint8),
        y_worse=worse_labels.astype(np.uint8),
        y_test=y[60:].astype(np.uint8),
        class_names=np.array(CIFAR10_CLASSES),
    )
    return path
