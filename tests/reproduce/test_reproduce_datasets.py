"""Benchmarks in their published folders, read and run on small made trees."""

import numpy as np
import pytest
import torch
from PIL import Image

from noisyflywheel import FlywheelClassifier
from noisyflywheel.datasets import ImageFiles
from noisyflywheel.reproduce import CycleMeasures, Plan, load_benchmark
from noisyflywheel.reproduce.benchmarks import NOISES, check_noise


def picture(path, label, rng, size=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.clip(40 + 60 * label + rng.normal(0, 8, (size, size, 3)), 0, 255)
    Image.fromarray(grey.astype(np.uint8)).save(path)


@pytest.fixture
def clothing(tmp_path):
    """Eight noisy training pictures and four test pictures in Clothing1M's form."""
    rng = np.random.default_rng(0)
    lists = {"noisy_train": [], "clean_test": []}
    labels = {"noisy": [], "clean": []}
    for split, n in (("noisy_train", 8), ("clean_test", 4)):
        for i in range(n):
            key = f"images/{split}/{i}.jpg"
            picture(tmp_path / key, i % 2, rng)
            lists[split].append(key)
            labels[split.partition("_")[0]].append(f"{key} {i % 2}")
    (tmp_path / "noisy_train_key_list.txt").write_text("\n".join(lists["noisy_train"]))
    (tmp_path / "clean_test_key_list.txt").write_text("\n".join(lists["clean_test"]))
    (tmp_path / "noisy_label_kv.txt").write_text("\n".join(labels["noisy"]))
    (tmp_path / "clean_label_kv.txt").write_text("\n".join(labels["clean"]))
    return tmp_path


def test_clothing1m_has_no_truth_for_its_training_rows(clothing):
    benchmark = load_benchmark("clothing1m", clothing, "real", None, 0, n_train=6)
    assert benchmark.y_true is None
    assert isinstance(benchmark.X, ImageFiles)
    assert (len(benchmark.X), len(benchmark.y), len(benchmark.X_test)) == (6, 6, 4)
    classifier = Plan("clothing1m", "real").classifier("cpu")
    assert classifier.cycle_size == 32_000


def test_measures_read_test_rows_from_files(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(24) % 3
    paths = [tmp_path / f"{i}.png" for i in range(24)]
    for path, label in zip(paths, y, strict=True):
        picture(path, label, rng)
    data = ImageFiles(paths, y, 8)
    measures = CycleMeasures(y, None, data, y)
    settings = {"n_warmup_epochs": 1, "n_cycles": 2, "cycle_size": 12, "device": "cpu", "random_state": 0}
    fitted = FlywheelClassifier(on_cycle=measures, **settings).fit(data, y)
    assert fitted.history_["test_accuracy"].iloc[-1] == pytest.approx((fitted.predict(data) == y).mean())
    assert "selection_auroc" not in fitted.history_
    assert "test_top5" not in fitted.history_


def test_human_labels_beside_torchvisions_folder(tmp_path, monkeypatch):
    asked = {}

    def load(folder, **options):
        asked.update(options)
        return type("Data", (), {"X": np.zeros((2, 4, 4, 3), np.uint8), "y": y, "y_clean": y, "class_names": ()})

    y = np.arange(2)
    monkeypatch.setattr("noisyflywheel.datasets.load_cifar100", load)
    load_benchmark("cifar100", tmp_path, "human", None, 0)
    assert asked["member"] == "noisy_label"
    assert asked["label_file"] == tmp_path / "CIFAR-100_human.pt"


def test_every_kind_of_noise_is_accepted_with_its_rate():
    for name, kinds in NOISES.items():
        for kind in kinds:
            check_noise(name, kind, 0.4 if kind in ("sym", "asym", "idn") else None)
    with pytest.raises(ValueError, match="asym is not for tiny-imagenet"):
        check_noise("tiny-imagenet", "asym", 0.4)


def test_measuring_draws_no_random_number():
    x = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3)).astype(np.uint8)
    y = np.arange(30) % 3

    def states(measures):
        seen = []

        def look(wheel, row):
            if measures is not None:
                measures(wheel, row)
            generators = (wheel.loader.state_dict()[name] for name in ("order", "augment"))
            seen.extend([*generators, torch.get_rng_state()])

        settings = {"n_warmup_epochs": 1, "n_cycles": 1, "device": "cpu", "random_state": 0}
        FlywheelClassifier(on_cycle=look, **settings).fit(x, y)
        return seen

    pairs = zip(states(None), states(CycleMeasures(y, y, x, y)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
