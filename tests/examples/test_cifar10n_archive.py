"""The reader of CIFAR-10N's archive of JPEG copies, on small made archives."""

import io
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisyflywheel.datasets import BadImagesError
from noisyflywheel.reproduce.record import read_json

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"
load_archive = runpy.run_path(str(FOLDER / "cifar10n_archive.py"))["load_archive"]


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
    data = load_archive(path)
    assert data.X.shape == (4, 32, 32, 3) and abs(int(data.X[3, 0, 0, 0]) - 30) <= 1
    assert data.y.tolist() == [3, 2, 1, 0] and data.y_clean.tolist() == [0, 1, 2, 3]
    assert data.class_names == ("airplane", "automobile")
    test = load_archive(path, train=False)
    assert test.y.tolist() == [7, 7] and abs(int(test.X[0, 0, 0, 0]) - 40) <= 1
    assert len(load_archive(path, "clean", n_rows=2).y) == 2


def test_cifar10n_bad_picture(tmp_path):
    with pytest.raises(BadImagesError, match="n.npz, picture 1 cannot be read"):
        load_archive(archive(tmp_path / "n.npz", bad=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_worse": None}, "n.npz has no member y_worse; it has class_names, jpeg"),
        ({"jpeg": None, "y_test": None}, "has no member jpeg, y_test"),
        ({"offsets": np.arange(3)}, "offsets are not the 7 rising places of 6 pictures"),
        ({"offsets": np.array([0, 9, 8, 9, 9, 9, 9])}, "offsets are not the 7 rising places"),
        ({"offsets": np.arange(7) * 10**9}, "offsets are not the 7 rising places"),
        ({"y_worse": np.arange(3)}, "y_worse has 3 labels for 4 pictures"),
    ],
)
def test_cifar10n_archives_that_do_not_fit(tmp_path, changes, message):
    path = archive(tmp_path / "n.npz", **changes)
    with pytest.raises(ValueError, match=message):
        load_archive(path)


def test_cifar10n_missing_or_no_archive(tmp_path):
    with pytest.raises(ValueError, match="none.npz"):
        load_archive(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match="text.npz is no .npz archive"):
        load_archive(tmp_path / "text.npz")


@pytest.mark.slow
def test_reproduce_on_an_archive(cifar10n, tmp_path):
    options = ["--noise", "worse", "--net", "small", "--epochs", 2, "--tsne", 0, "--set", "main_net__module__width=8"]
    command = [
        sys.executable,
        FOLDER / "cifar10n_archive.py",
        "cifar10",
        *options,
        "--data",
        cifar10n,
        "--out",
        tmp_path,
    ]
    paths = os.pathsep.join(filter(None, [str(FOLDER.parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.json")
    data = read_json(path)["data"]
    assert "JPEG copies" in data["note"]
    assert data["true_clean_rate"] == pytest.approx(40 / 60)
