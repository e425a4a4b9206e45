"""Pictures as callers have them: every layout and kind gives the same result, or an error that says what to do."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.models import resnet18

from noisyflywheel import FlywheelClassifier
from noisyflywheel.exceptions import FlywheelWarning


def fit(X, y, **params):
    settings = {"n_warmup_epochs": 1, "n_cycles": 1, "device": "cpu", "random_state": 0}
    return FlywheelClassifier(**settings | params).fit(X, y)


def objects(pictures):
    X = np.empty(len(pictures), object)
    X[:] = list(pictures)
    return X


KINDS = {
    "channels first": lambda X: X.transpose(0, 3, 1, 2),
    "list": list,
    "array of objects": objects,
    "Pillow": lambda X: [Image.fromarray(x) for x in X],
    "column": lambda X: pd.Series(list(X), index=range(7, 7 + len(X))),
    "array of Pillow's": lambda X: objects([Image.fromarray(x) for x in X]),
    "tensor": torch.from_numpy,
    "Dataset": lambda X: TensorDataset(torch.from_numpy(X)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_the_same_pictures(kind, pictures):
    X, y = pictures
    expected = fit(X, y).predict_proba(X)
    fitted = fit(KINDS[kind](X), y)
    np.testing.assert_array_equal(fitted.predict_proba(KINDS[kind](X)), expected)
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)


@pytest.mark.parametrize("size", [(4, 4, 1), (4, 4, 3), (3, 3, 1), (1, 1, 3), (64, 4, 3), (27, 31, 3)])
def test_tiny_and_narrow_pictures_may_have_their_channels_first(size):
    X = np.random.default_rng(0).integers(0, 256, (20, *size), dtype=np.uint8)
    fitted, y = fit(X, np.arange(20) % 2), np.arange(20) % 2
    assert fitted.views_.row_shape == (size[2], *size[:2])
    first = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(fit(first, y).predict_proba(first), fitted.predict_proba(X))


@pytest.fixture(scope="module")
def of_floats(pictures):
    X, y = pictures
    return fit((X / 255).astype(np.float32), y), X


@pytest.mark.parametrize("kind", ["array", "Dataset", "memory map"])
def test_floats_on_another_scale_are_noticed(kind, of_floats, tmp_path):
    fitted, X = of_floats
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    rows = {
        "array": X.astype(np.float64),
        "Dataset": TensorDataset(torch.from_numpy(X).float()),
        "memory map": np.load(tmp_path / "X.npy", mmap_mode="r"),
    }[kind]
    with pytest.warns(
        FlywheelWarning, match=r"pixels from 0 to 2\d\d, but fit saw ones from 0 to 0.8.*Give X as in fit"
    ):
        fitted.predict(rows)


def test_floats_on_a_smaller_scale_are_noticed_too(pictures):
    X, y = pictures
    fitted = fit(X.astype(np.float32), y)
    with pytest.warns(FlywheelWarning, match=r"pixels from 0 to 0.8.*but fit saw ones from 0 to 2\d\d"):
        fitted.predict(X / 255)


def test_other_pictures_on_the_same_scale_are_no_trouble(of_floats):
    fitted, X = of_floats
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows in (X[:3] / 255, np.zeros((1, 12, 12, 3)), 3 * X / 255, X / 255 / 20):
            fitted.predict(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X / 255, "fitted on uint8 pictures, got torch.float32: their scales differ, so give X as in fit"),
        (
            lambda X: X.reshape(len(X), -1),
            r"shape \(432,\), but was fitted with rows of shape \(3, 12, 12\): give pictures as",
        ),
        (lambda X: X[..., :2], "neither the last axis nor axis 1 has 1, 3 or 4 channels. Turn pictures"),
        (
            lambda X: [*X[:3], X[3, :9]],
            r"item 3 of X has shape \(9, 12, 3\).*: bring pictures to one size and mode first",
        ),
        (lambda X: X[..., 0], r"rows of shape \(1, 12, 12\), but was fitted with rows of shape \(3, 12, 12\)"),
    ],
)
def test_what_cannot_be_predicted_says_what_to_do(change, message, pictures):
    X, y = pictures
    with pytest.raises(ValueError, match=message):
        fit(X, y).predict(change(X))


def test_rows_without_pictures_say_what_to_pass(pictures):
    X, y = pictures
    with pytest.raises(TypeError, match=r"X is a list of dicts: pass pd.DataFrame\(X\), or the pictures in them"):
        fit([{"image": x} for x in X], y)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_file_names_say_what_to_pass(kind, pictures):
    y = pictures[1]
    with pytest.raises(TypeError, match="of file names: pass a Dataset that reads them, such as .*ImageFiles"):
        fit(kind([f"{i}.JPG" for i in range(len(y))]), y)


@pytest.mark.parametrize("cells", [list, lambda X: [Image.fromarray(x) for x in X]])
def test_a_table_of_pictures_says_what_to_pass(cells, pictures):
    X, y = pictures
    table = pd.DataFrame({"im": cells(X)})
    with pytest.raises(TypeError, match=r"X is a DataFrame of pictures: pass its column, X\['im'\]"):
        fit(table, y)
    assert fit(table["im"], y).score(table["im"], y) >= 0


def test_a_table_of_file_names_says_what_to_pass(pictures):
    y = pictures[1]
    for wrap in (str, Path):
        with pytest.raises(TypeError, match="X is a DataFrame of file names: pass a Dataset that reads them, such as"):
            fit(pd.DataFrame({"path": [wrap(f"{i}.png") for i in range(len(y))]}), y)


def test_a_list_of_two_square_pictures_is_no_list_of_inputs():
    X = list(np.random.default_rng(0).integers(0, 256, (2, 2, 2), dtype=np.uint8))
    assert fit(X, [0, 1]).predict(X).shape == (2,)


def test_a_module_for_other_classes_says_how_to_set_them(pictures):
    X, y = pictures
    net = NeuralNetClassifier(resnet18, criterion=nn.CrossEntropyLoss, train_split=None)
    with pytest.raises(ValueError, match="of torchvision's and timm's by module__num_classes=3"):
        fit(X, y, main_net=net)


def test_a_rare_class_names_and_order(pictures):
    X, y = pictures
    names = np.array(["cat", "dog", "ox"])[np.where(y == 2, 0, y)]
    names[[5, 8, 11]] = "ox"
    fitted, order = fit(X, names), np.random.default_rng(0).permutation(len(X))
    assert set(fitted.predict(X)) <= set(names)
    assert fitted.predict_proba(X).shape == (60, 3)
    np.testing.assert_array_equal(fitted.predict_proba(X)[order], fitted.predict_proba(X[order]))
    np.testing.assert_array_equal(fit(X[order], names[order]).label_quality_, fitted.label_quality_[order])
