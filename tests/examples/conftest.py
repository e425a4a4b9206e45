"""What the benchmarks take: an archive of JPEG copies, texts; and how they are run here."""

import io
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisyflywheel.noise.maps import CIFAR10_CLASSES

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"


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


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Runs a benchmark in this process, which has its imports behind it; gives what it prints."""

    def run_script(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(FOLDER / name), run_name="__main__")
        return capsys.readouterr().out

    monkeypatch.syspath_prepend(FOLDER)
    return run_script


@pytest.fixture
def made_texts(tmp_path, run_here):
    """Texts of words that go with their label, as `hard_sets.py` stores them: the folder of sets, what it said."""
    rng = np.random.default_rng(0)
    lines = [f"{i % 2} " + " ".join(f"w{rng.integers(150) + 100 * (i % 2)}" for _ in range(12)) for i in range(240)]
    (tmp_path / "custrev.all").write_text("\n".join([*lines, "2 a class of one line"]), "latin1")
    return tmp_path / "sets", run_here("hard_sets.py", "--data", tmp_path, "--out", tmp_path / "sets")
