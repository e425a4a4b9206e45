"""What bad input gets: a row each for what goes in, and the exception and words that come out.

Every error of the first two tables comes before any training (asserted). The last table is unusual input that
is fine: the fit ends with finite results.
"""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from items import Items
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, Unfreezer
from skorch.dataset import ValidSplit
from skorch.helper import SliceDict
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from noisyflywheel import DivergenceError, FlywheelClassifier
from noisyflywheel.backbones import MLP, FoldedMLP
from noisyflywheel.estimator.inputs.labels import read_labels
from noisyflywheel.views import VectorViews

pytestmark = pytest.mark.usefixtures("quick_folds")

RNG = np.random.default_rng(0)
N = 30
X = RNG.normal(size=(N, 4)).astype(np.float32)
Y = np.arange(N) % 3
PICTURES = RNG.integers(256, size=(N, 8, 8, 3), dtype=np.uint8)
QUICK = {"n_warmup_epochs": 1, "n_cycles": 1, "random_state": 0, "guard": False}


def with_value(array, value, at=(5, 1)):
    changed = np.array(array, dtype=np.result_type(array, type(value)))
    changed[at] = value
    return changed


GAPS = with_value(X, np.nan)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(X)


class Module(nn.Module):
    """Linear; ``bend`` is applied to its output."""

    def __init__(self, n_features=4, n_classes=3, bend=None):
        super().__init__()
        self.linear = nn.Linear(n_features, n_classes)
        self.bend = bend

    def forward(self, x):
        output = self.linear(x)
        return output if self.bend is None else self.bend(output)


class Frozen(Module):
    """Its weights are not trained."""

    def __init__(self, n_features=4, n_classes=3):
        super().__init__(n_features, n_classes)
        self.requires_grad_(False)


def net(bend=None, criterion=nn.CrossEntropyLoss, module=Module, **kwargs):
    bends = {"module__bend": bend} if module is Module else {}
    return NeuralNetClassifier(module, criterion=criterion, train_split=None, **bends, **kwargs)


# 1. parameters: (parameters, exception, words)
PARAMETERS = [
    ({"n_warmup_epochs": -1}, ValueError, "n_warmup_epochs must be 'auto' or an int >= 0, got -1"),
    ({"n_warmup_epochs": 1.5}, TypeError, "n_warmup_epochs must be .* of type float"),
    ({"n_warmup_epochs": "fast"}, ValueError, "n_warmup_epochs .* got 'fast'"),
    ({"n_cycles": 0}, ValueError, "n_cycles must be 'auto' or an int >= 1"),
    ({"n_cycles": "many"}, ValueError, "n_cycles must be 'auto' or an int >= 1, got 'many'"),
    ({"n_cycles": True}, TypeError, "n_cycles .* of type bool"),
    ({"n_folds": 0}, ValueError, "n_folds must be 'auto' or an int >= 1"),
    ({"n_folds": 2.5}, TypeError, "n_folds .* of type float"),
    ({"n_folds": 2, "views": None}, ValueError, "n_folds=2 cannot be had with views=None"),
    ({"n_folds": 2, "main_net": net()}, ValueError, r"cannot be had with main_net=NeuralNetClassifier\(...\): set"),
    ({"n_cycles": None}, TypeError, "n_cycles .* of type NoneType"),
    ({"cycle_size": 1}, ValueError, "cycle_size must be None or an int >= 2"),
    ({"cycle_size": 2.0}, TypeError, "cycle_size"),
    ({"cr_weight": -1.0}, ValueError, "cr_weight must be a number >= 0"),
    ({"cr_weight": float("nan")}, ValueError, "cr_weight must be a number >= 0, got nan"),
    ({"cr_weight": float("inf")}, ValueError, "cr_weight .* got inf"),
    ({"cr_weight": "3"}, TypeError, "cr_weight .* of type str"),
    ({"cr_ramp": -2}, ValueError, "cr_ramp"),
    ({"cr_ramp": 0.5}, TypeError, "cr_ramp"),
    ({"contrastive_weight": -0.1}, ValueError, "contrastive_weight"),
    ({"mixup_alpha": None}, TypeError, "mixup_alpha"),
    ({"sharpen_temperature": 0}, ValueError, r"sharpen_temperature must be a number in \(0, 10\]"),
    ({"distribution_alignment": 1.5}, ValueError, r"distribution_alignment must be 'auto' or a number in \[0, 1\]"),
    ({"distribution_alignment": None}, TypeError, "distribution_alignment"),
    ({"average_epochs": -1}, ValueError, "average_epochs"),
    ({"noise_model": "instance"}, ValueError, "noise_model must be 'class' or 'uniform'"),
    ({"noise_model": None}, TypeError, "noise_model"),
    ({"resample": "soft"}, ValueError, "resample must be 'posterior' or 'argmax'"),
    ({"calibrate": "yes"}, ValueError, "calibrate must be 'auto', True or False"),
    ({"calibrate": 1}, TypeError, "calibrate"),
    ({"guard": "no"}, TypeError, "guard must be True or False"),
    ({"refurbish": None}, TypeError, "refurbish"),
    ({"feature_layer": ""}, ValueError, "feature_layer"),
    ({"feature_layer": 3}, TypeError, "feature_layer"),
    ({"feature_layer": "nowhere"}, ValueError, "feature_layer='nowhere' is no submodule of MLP"),
    ({"warm_start": 1}, TypeError, "warm_start"),
    ({"device": "gpu:0"}, ValueError, "device must be 'auto' or a torch device, got 'gpu:0'"),
    ({"device": "cuda:99"}, ValueError, "device 'cuda:99' is not there"),
    ({"device": 3}, TypeError, "device"),
    ({"verbose": -1}, ValueError, "verbose"),
    ({"verbose": "loud"}, TypeError, "verbose"),
    ({"views": "pictures"}, TypeError, "views must be 'auto', None or an object with weak"),
    ({"views": VectorViews}, TypeError, "views must be .* an object .* class"),
    ({"views": object()}, TypeError, "views"),
    ({"views": VectorViews(noise="much")}, ValueError, "noise must be 'auto' or a number >= 0"),
    ({"views": VectorViews(noise=-1)}, ValueError, "noise must be"),
    ({"views": VectorViews(mask=1.5)}, ValueError, "mask must be"),
    ({"checkpoint_dir": 3}, TypeError, "checkpoint_dir must be None or a path"),
    ({"on_cycle": 3}, TypeError, "on_cycle must be None or callable"),
    ({"random_state": "seed"}, ValueError, "random_state must be None, an int .* got 'seed'"),
    ({"random_state": -1}, ValueError, "random_state"),
    ({"random_state": np.random.default_rng(0)}, ValueError, "random_state must be .* a numpy RandomState"),
    # nets
    ({"main_net": nn.Linear(4, 3)}, TypeError, "main_net must be a skorch NeuralNet or None, got Linear"),
    ({"main_net": "mlp"}, TypeError, "main_net must be a skorch NeuralNet or None, got str"),
    ({"aux_net": LogisticRegression()}, TypeError, "aux_net must be .* got LogisticRegression"),
    ({"main_net": NeuralNetClassifier}, TypeError, "main_net must be .* got the class NeuralNetClassifier"),
    ({"main_net": NeuralNetClassifier(Module, train_split=ValidSplit(3))}, ValueError, "main_net has train_split"),
    ({"aux_net": net(module__n_classes=5)}, ValueError, r"net returns an output of shape \(2, 5\).*3 classes"),
    ({"main_net": net(module__n_features=9)}, ValueError, r"main_net cannot take rows of shape \(4,\)"),
    ({"main_net": net(lambda z: z * float("nan"))}, ValueError, "main_net returns NaN"),
    ({"main_net": net(lambda z: z[:, :, None])}, ValueError, "main_net returns an output of shape"),
    ({"main_net": net(lambda z: {"z": z})}, TypeError, "main_net returns a dict, not a Tensor"),
    ({"main_net": net(criterion=nn.NLLLoss)}, ValueError, "main_net returns values that are no probabilities"),
    ({"main_net": NeuralNetRegressor(Module, train_split=None)}, ValueError, "main_net has criterion MSELoss"),
    ({"main_net": NeuralNetBinaryClassifier(Module, module__n_classes=1, train_split=None)}, ValueError, "BCEWith"),
    ({"main_net": net(optimizer=torch.optim.SGD, lr=-1.0)}, ValueError, "[Ii]nvalid learning rate"),
    ({"main_net": net(module=FoldedMLP)}, ValueError, "main_net has module FoldedMLP, .* and main_net=None"),
    ({"main_net": net(module=nn.Linear(4, 3).requires_grad_(False))}, ValueError, "^main_net trains no weights"),
    ({"aux_net": net(module=Frozen)}, ValueError, "net trains no weights: .* Frozen are frozen"),
    ({"main_net": net(batch_size=0)}, ValueError, "main_net has batch_size=0"),
    ({"main_net": net(module__widht=3)}, TypeError, "widht"),
]  # fmt: skip

NAMES = [f"{i}-{next(iter(row[0]))}" for i, row in enumerate(PARAMETERS)]

# 2. rows and labels: (X, y, exception, words)
DATA = [
    (with_value(GAPS, np.inf, (6, 1)), Y, ValueError, "Input X contains infinity"),
    (pd.DataFrame(with_value(GAPS, np.inf, (6, 1))), Y, ValueError, "Input X contains infinity"),
    (with_value(GAPS.astype(np.float64), 1e300, (6, 1)), Y, ValueError, "infinity or a value too large"),
    (np.full((N, 2), np.nan), Y, ValueError, "no column is left to learn from"),
    (with_value(X, np.inf), Y, ValueError, "Input X contains infinity"),
    (with_value(X, -np.inf), Y, ValueError, "Input X contains infinity"),
    (with_value(X.astype(np.float64), 1e300), Y, ValueError, "infinity or a value too large"),
    (X[:, 0], Y, ValueError, "Expected 2D array, got 1D array"),
    (X[:0], Y[:0], ValueError, "Found array with 0 sample"),
    (X[:1], Y[:1], ValueError, "Found array with 1 sample.* minimum of 2"),
    (X[:, :0], Y, ValueError, "Found array with 0 feature"),
    (np.zeros((N, 2, 2, 2, 2)), Y, ValueError, r"3 or 4 \(images\), got shape \(30, 2, 2, 2, 2\)"),
    (np.full((N, 2), "a"), Y, ValueError, "could not convert string to float"),
    (X + 1j, Y, ValueError, "Complex data not supported"),
    (None, Y, ValueError, "Expected 2D array|NoneType|None"),
    (3.0, Y, ValueError, "Expected 2D array, got scalar array"),
    ([[1.0], [1.0, 2.0]] * 15, Y, ValueError, "inhomogeneous|sequence"),
    (np.zeros((N, 8, 8, 5), np.float32), Y, ValueError, "neither the last axis nor axis 1"),
    (with_value(PICTURES.astype(np.float32), np.nan, (3, 1, 1, 0)), Y, ValueError, "Input X contains NaN"),
    (np.zeros((N, 0, 8, 3), np.uint8), Y, ValueError, "X has an axis of length 0"),
    (scipy.sparse.csr_matrix(with_value(GAPS, np.inf, (6, 1))), Y, ValueError, "infinity"),
    (torch.from_numpy(with_value(PICTURES.astype(np.float32), np.nan)), Y, ValueError, "Input X contains NaN"),
    (torch.from_numpy(X)[:, 0], Y, ValueError, "Expected 2D array"),
    (torch.from_numpy(X).to_sparse(), Y, TypeError, "sparse tensor"),
    (torch.from_numpy(X).to(torch.complex64), Y, ValueError, "Complex data not supported"),
    (Items([]), Y[:0], ValueError, "Dataset with 0 sample"),
    (Items([(X[0], 0)]), Y[:1], ValueError, "Dataset with 1 sample.* minimum of 2"),
    (Items([(X[i, : 3 + i % 2], 0) for i in range(N)]), Y, ValueError, "item 1 of the Dataset has shape"),
    (Items([(x if i % 2 else x / np.float32(255), 0) for i, x in enumerate(PICTURES)]), Y, ValueError,
     r"item 1 of the Dataset has torch.uint8 pixels, item 0 has torch.float32: their scales differ"),
    ([x[: 8 - i % 2] for i, x in enumerate(PICTURES)], Y, ValueError, r"item 1 of X has shape \(7, 8, 3\), item 0"),
    ([x if i % 2 else x > 100 for i, x in enumerate(PICTURES)], Y, ValueError, "item 1 of X has torch.uint8 pixels"),
    (Items(X.tolist()), Y, ValueError, r"item 0 of the Dataset is a single number.* should be \(x, label\) or x"),
    (Items([(float(x), 0) for x in X[:, 0]]), None, ValueError, "item 0 of the Dataset is a single number"),
    (TensorDataset(torch.from_numpy(X[:, 0])), Y, ValueError, "item 0 of the Dataset is a single number"),
    (Items([("text", 0)] * N), Y, TypeError, "an item of the Dataset is no array"),
    (Items([(None if i == 7 else x, 0) for i, x in enumerate(PICTURES)]), Y, TypeError, r"NoneType \(item 7\)"),
    (Items([(x[None], 0) for x in PICTURES]), Y, ValueError, r"3 or 4 \(images\), got shape \(30, 1, 8, 8, 3\)"),
    (Items([(x[:0], 0) for x in PICTURES]), Y, ValueError, "X has an axis of length 0"),
    (Items([X[i] for i in range(N)]), None, ValueError, "no second part to take as labels"),
    (Items([(with_value(X, np.nan)[i], 0) for i in range(N)]), Y, ValueError, "item 5 of the Dataset .* NaN"),
    (Stream(), Y, TypeError, "Dataset has no length"),
    (Stream(), None, TypeError, "Dataset has no length"),
    (DataLoader(TensorDataset(torch.from_numpy(X))), None, TypeError, "X is a DataLoader: pass its Dataset"),
    ({"a": X, "b": X}, Y, TypeError, "X is a dict, but rows are one array"),
    (SliceDict(a=X), Y, TypeError, "X is a SliceDict, but rows are one array"),
    ((X, X[:, :2]), Y, TypeError, "X is a tuple of 2 arrays of 30 rows, but rows are one array: join the parts"),
    ([torch.from_numpy(X), Y, X], Y, TypeError, "X is a list of 3 arrays of 30 rows, but rows are one array"),
    ((pd.DataFrame(X), PICTURES), list(Y), TypeError, "X is a tuple of 2 arrays of 30 rows, but rows are one array"),
    ([X, X], Y[:5], ValueError, "inconsistent numbers of samples"),
    (list(zip(torch.from_numpy(X), Y, strict=True)), Y, TypeError, "X is a list of a Dataset's items.*SliceDataset"),
    (X, None, ValueError, "requires y to be passed"),
    (X, Y[:-1], ValueError, "inconsistent numbers of samples"),
    (X, np.zeros(N), ValueError, "y has one class only"),
    (X, with_value(Y, np.nan, 7), ValueError, "Input y contains NaN or infinity .first in row 7"),
    (X, with_value(Y, np.inf, 7), ValueError, "Input y contains NaN or infinity .first in row 7"),
    (X, np.array(["a", "b", None] * 10, dtype=object), ValueError, "Input y contains NaN or None .first in row 2"),
    (X, pd.Series(["a", "b", pd.NA] * 10, dtype="string"), ValueError, "NaN or None .first in row 2"),
    (X, pd.Series([0, 1, None] * 10, dtype="Int64"), ValueError, "NaN .*first in row 2"),
    (X, pd.Series(pd.Categorical(["a", "b", None] * 10)), ValueError, "NaN or None .first in row 2"),
    (X, X[:, 0], ValueError, "Unknown label type: continuous"),
    (X, np.stack([Y, Y], 1), ValueError, "should be a 1d array"),
    (X, np.array(["a", 1, 2] * 10, dtype=object), ValueError, r"dtype object .* str and int .first in rows 0, 1."),
    (X, np.array([1, "a", 2] * 10, dtype=object), ValueError, r"dtype object .* int and str .first in rows 0, 1."),
    (pd.DataFrame(X, columns=list("abca")), Y, ValueError, "two columns are called 'a'"),
    (pd.DataFrame(X, columns=list("abbc")).assign(d="x"), Y, ValueError, "two columns are called 'b'"),
    (X, ["a", 1, 2] * 10, ValueError, r"y holds labels .* str and int .first in rows 0, 1.* \[str\(label\) for"),
    (X, Y.astype(object), ValueError, r"y has dtype object and holds labels of type int: pass y.astype\('int'\)"),
    (X, pd.Series(Y > 0, dtype=object), ValueError, r"of type bool: pass y.astype\('bool'\)"),
    (X, np.zeros(N, dtype=int), ValueError, r"y has one class only \(0\)"),
    (X, "labels", (TypeError, ValueError), "Expected sequence or array-like|scalar|inconsistent|0-dim|Singleton"),
    (X, 3, TypeError, "Expected sequence or array-like|Singleton"),
    (X, [], ValueError, "inconsistent numbers of samples"),
    (X, Y + 1j, ValueError, "[Uu]nknown label type|complex|Complex"),
    (X, [{"a": 1}] * N, (TypeError, ValueError), "label"),
]  # fmt: skip

# 3. after fit: (call, exception, words)
AFTERWARDS = [
    (lambda c: c.predict(X[:, :3]), ValueError, "X has 3 features, but FlywheelClassifier is expecting 4"),
    (lambda c: c.predict_proba(with_value(X, np.inf)), ValueError, "Input X contains infinity"),
    (lambda c: c.predict(X[0]), ValueError, "Expected 2D array, got 1D array"),
    (lambda c: c.predict(X[:0]), ValueError, "Found array with 0 sample"),
    (lambda c: c.predict(PICTURES), ValueError, "fitted with rows of shape|is expecting 4 features"),
    (lambda c: c.predict(pd.DataFrame(X, columns=list("abca"))), ValueError, "two columns are called 'a'"),
    (lambda c: c.predict(None), ValueError, "Expected 2D array|None"),
    (lambda c: c.predict(Items([(X[0, :2], 0)])), ValueError, r"rows of shape \(2,\), but was fitted with .*\(4,\)"),
    (lambda c: c.score(X, Y[:-1]), ValueError, "inconsistent"),
    (lambda c: c.predict(pd.DataFrame(X, columns=list("dcba"))), UserWarning, "fitted without feature names"),
    (lambda c: c.set_params(nonsense=1), ValueError, "Invalid parameter 'nonsense'"),
    (lambda c: c.set_params(warm_start=True, n_cycles=1).fit(X, Y).fit(X, 2 - Y), ValueError, "warm_start=True needs"),
    (lambda c: FlywheelClassifier().predict(X), NotFittedError, "not fitted"),
    (lambda c: FlywheelClassifier().get_label_issues(), NotFittedError, "not fitted"),
    (lambda c: FlywheelClassifier().get_class_summary(), NotFittedError, "not fitted"),
    (lambda c: FlywheelClassifier().save("nowhere"), NotFittedError, "not fitted"),
]  # fmt: skip


@pytest.fixture
def no_training(monkeypatch):
    """Fails the test if any net is trained."""

    def train(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr("noisyflywheel.nets.trainer.Trainer.epoch", train)


@pytest.mark.parametrize(("params", "error", "words"), PARAMETERS, ids=range(len(PARAMETERS)))
def test_bad_parameters(params, error, words, no_training):
    with pytest.raises(error, match=words):
        FlywheelClassifier(**(QUICK | params)).fit(X, Y)


@pytest.mark.parametrize(("rows", "labels", "error", "words"), DATA, ids=range(len(DATA)))
def test_bad_data(rows, labels, error, words, no_training):
    with pytest.raises(error, match=words):
        FlywheelClassifier(**QUICK).fit(rows, labels)


@pytest.fixture(scope="module")
def fitted():
    return FlywheelClassifier(**QUICK).fit(X, Y)


@pytest.mark.parametrize(("call", "error", "words"), AFTERWARDS, ids=range(len(AFTERWARDS)))
def test_bad_use_after_fit(fitted, call, error, words):
    with pytest.raises(error, match=words):
        call(deepcopy(fitted))


@pytest.mark.parametrize("views", ["auto", None])
def test_one_picture_without_an_axis_of_rows_is_refused(views):
    clf = FlywheelClassifier(views=views, **QUICK).fit(PICTURES[..., 0], Y)
    with pytest.raises(ValueError, match=r"rows of shape \(8,\), but was fitted with rows of shape \(1, 8, 8\)"):
        clf.predict(PICTURES[0, ..., 0])


class OfOneSize(nn.Linear):
    """Asserts what it can take, as torchvision's vision transformers do."""

    def forward(self, x):
        assert x.shape[1:] == (5,), "Wrong size"
        return super().forward(x)


def test_an_assertion_of_a_module_names_the_net(no_training):
    with pytest.raises(ValueError, match=r"main_net cannot take rows of shape \(4,\): Wrong size"):
        FlywheelClassifier(main_net=net(module=OfOneSize(5, 3)), **QUICK).fit(X, Y)


def test_nets_and_views_of_vectors_refuse_pictures(no_training):
    with pytest.raises(ValueError, match=r"main_net cannot take rows of shape \(3, 8, 8\)"):
        FlywheelClassifier(main_net=net(module=MLP), **QUICK).fit(PICTURES, Y)
    with pytest.raises(ValueError, match=r"vectors must have shape \(n, d\), got \(30, 3, 8, 8\).*ImageViews"):
        FlywheelClassifier(views=VectorViews(), **QUICK).fit(PICTURES, Y)


class Frees(Callback):
    """Frees all weights."""

    def on_train_begin(self, net, **kwargs):
        net.module_.requires_grad_(True)


@pytest.mark.parametrize("callback", [Unfreezer("*", at=1), Frees()])
def test_weights_that_a_callback_frees_are_trained(callback):
    freed = net(module=Frozen, callbacks=[("free", callback)])
    clf = FlywheelClassifier(main_net=freed, **QUICK).fit(X, Y)
    assert all(weight.requires_grad for weight in clf.main_net_.module_.parameters())


class Noise:
    """Views that look at no scale, and return numpy's float64."""

    def weak(self, x):
        return x + torch.from_numpy(np.random.default_rng(0).normal(size=x.shape))

    strong = weak


def test_views_of_8_bit_pictures_that_divide_nothing_are_refused(no_training):
    with pytest.raises(ValueError, match=r"views: weak returns numbers up to 2\d\d for 8-bit .* Divide by 255"):
        FlywheelClassifier(views=Noise(), **QUICK).fit(PICTURES, Y)


@pytest.mark.parametrize("rows", [X, PICTURES / np.float32(255)], ids=["rows", "pictures"])
@pytest.mark.parametrize("n_folds", ["auto", 1])
def test_views_that_return_float64_are_fine(rows, n_folds):
    clf = FlywheelClassifier(views=Noise(), n_folds=n_folds, **QUICK).fit(rows, Y)
    assert np.isfinite(clf.predict_proba(rows)).all()


def test_softmax_with_a_criterion_for_logits_warns():
    with pytest.warns(UserWarning, match="net returns rows that sum to 1 but its criterion CrossEntropyLoss"):
        FlywheelClassifier(main_net=net(lambda z: torch.softmax(z, 1)), **QUICK).fit(X, Y)


@pytest.mark.parametrize("rate", [float("inf"), float("nan")])
def test_divergence_stops_with_the_cycle_and_advice(rate):
    with pytest.raises(DivergenceError, match="became (nan|inf).*(warm-up|cycle 1).*lower the learning rate"):
        FlywheelClassifier(main_net=net(lr=rate), **QUICK).fit(X, Y)


# 4. unusual, and fine: (X, y)
FINE = {
    "two rows": (X[:2], [0, 1]),
    "three rows, three classes": (X[:3], [0, 1, 2]),
    "one row in the last batch": (np.tile(X, (5, 1))[:129], np.arange(129) % 3),
    "150 classes of two rows": (RNG.normal(size=(300, 5)), np.repeat(np.arange(150), 2)),
    "99.9 % of one class": (RNG.normal(size=(1000, 4)), np.arange(1000) == 0),
    "constant features": (np.ones((N, 4)), Y),
    "one constant feature": (np.c_[X, np.ones(N)], Y),
    "one feature": (X[:, :1], Y),
    "contradicting duplicates": (np.repeat(X[:10], 3, axis=0), Y),
    "huge offsets": (X.astype(np.float64) + 1e7, Y),
    "tiny values": (X * 1e-20, Y),
    "mixed units": (X * np.array([1e-6, 1, 1e3, 1e9]), Y),
    "integers": (RNG.integers(9, size=(N, 4)), Y),
    "bools": (X > 0, Y),
    "lists": (X.tolist(), Y.tolist()),
    "missing cells": (GAPS, Y),
    "a column of missing cells": (with_value(X, np.nan, np.s_[:, 2]), Y),
    "a row of missing cells": (with_value(X, np.nan, 2), Y),
    "None in lists": ([[None, 1.0, i] for i in range(N - 1, -1, -1)], Y),
    "tensor with missing cells": (torch.from_numpy(GAPS), Y),
    "fortran order": (np.asfortranarray(X), Y),
    "reversed memory": (X[::-1, ::-1], Y),
    "tensor with gradient": (torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)),
    "string labels": (X, np.array(["a", "b", "c"])[Y]),
    "object labels": (X, np.array(["a", "b", "c"], dtype=object)[Y]),
    "labels with gaps": (X, np.array([-5, 0, 10**12])[Y]),
    "bool labels": (X, Y > 0),
    "float labels": (X, Y.astype(float)),
    "pandas string labels": (X, pd.Series(["a", "b", "c"] * 10, dtype="string")),
    "pandas nullable labels": (X, pd.Series([0, 1, 2] * 10, dtype="Int64")),
    "an unused category": (X, pd.Series(pd.Categorical(["a", "b"] * 15, categories=["a", "b", "z"]))),
    "dataset with labels": (TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), None),
    "grey pictures": (PICTURES[..., 0], Y),
    "black pictures": (np.zeros_like(PICTURES), Y),
    "tiny pictures": (PICTURES[:, :4, :4], Y),
}  # fmt: skip


@pytest.mark.parametrize("case", FINE)
def test_unusual_input_ends_in_finite_results(case):
    rows, labels = FINE[case]
    clf = FlywheelClassifier(**QUICK | {"n_cycles": 2}).fit(rows, labels)
    n, k = len(clf.clean_proba_), len(clf.classes_)
    proba = clf.predict_proba(rows)
    assert proba.shape == (n, k)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-9)
    for values in (clf.clean_proba_, clf.label_quality_, clf.refurbished_proba_, clf.transition_matrix_):
        assert np.isfinite(values).all()
        assert ((values >= 0) & (values <= 1)).all()
    assert 0 < clf.clean_rate_ < 1
    assert set(clf.predict(rows)) <= set(clf.classes_)
    assert len(clf.get_label_issues()) == n
    assert len(clf.get_class_summary()) == k


def test_a_column_of_labels_is_flattened_with_a_warning():
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        clf = FlywheelClassifier(**QUICK).fit(X, Y[:, None])
    assert clf.refurbished_labels_.shape == (N,)


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "int64", "int64[pyarrow]"])
def test_a_table_of_labels_keeps_their_type(dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    y = pd.DataFrame({"y": pd.Series(Y % 2 if dtype == "boolean" else Y + 2**53).astype(dtype)})
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        clf = FlywheelClassifier(**QUICK).fit(X, y)
    plain = y["y"].astype("bool" if dtype == "boolean" else "int64").to_numpy()
    assert clf.classes_.dtype == plain.dtype
    np.testing.assert_array_equal(clf.classes_, np.unique(plain))


@pytest.mark.parametrize("labels", [tuple, lambda y: np.array(y, dtype=object)[:, None]], ids=["tuple", "column"])
def test_a_missing_label_is_named_in_every_form(labels):
    given = [None if i == 3 else str(label) for i, label in enumerate(Y)]
    with pytest.raises(ValueError, match=r"NaN or None \(first in row 3\)"):
        FlywheelClassifier(**QUICK).fit(X, labels(given))


@pytest.mark.parametrize("labels", [Y, Y.astype(str)], ids=["numbers", "texts"])
def test_masked_labels_and_weights_are_missing(labels):
    mask = np.arange(N) == 3
    with pytest.raises(ValueError, match=r"Input y contains NaN or .* \(first in row 3\)"):
        FlywheelClassifier(**QUICK).fit(X, np.ma.array(labels, mask=mask))
    with pytest.raises(ValueError, match="sample_weight contains NaN"):
        FlywheelClassifier(**QUICK).fit(X, labels, np.ma.array(np.ones(N), mask=mask))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_narrow_tensors_are_taken(dtype):
    narrow = torch.from_numpy(X).to(dtype)
    packed, wide = FlywheelClassifier(**QUICK).fit(narrow, Y), FlywheelClassifier(**QUICK).fit(narrow.float(), Y)
    assert (packed.predict_proba(narrow) == wide.predict_proba(narrow.float())).all()


def test_fields_of_packed_records_are_taken():
    records = np.zeros(N, dtype=[("flag", "u1"), ("x", "f4", X.shape[1:])])
    records["x"] = X
    packed = FlywheelClassifier(**QUICK).fit(records["x"], Y)
    assert packed.score(X, Y) == FlywheelClassifier(**QUICK).fit(X.astype(np.float32), Y).score(X, Y)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("boolean", "b"), ("bool[pyarrow]", "b"), ("Int64", "i"), ("UInt8", "u"), ("int64[pyarrow]", "i")],
)
def test_nullable_labels_keep_their_kind(dtype, kind):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    values = Y > 0 if kind == "b" else Y + (2**53 if kind == "i" else 0)
    labels, classes, codes = read_labels(X, pd.Series(values).astype(dtype))
    assert classes.dtype.kind == labels.dtype.kind == kind
    assert labels.tolist() == values.tolist()
    assert len(classes) == len(np.unique(values)) == codes.max() + 1
    as_categories = read_labels(X, pd.Series(values).astype(dtype).astype("category"))
    assert as_categories[0].dtype.kind == kind and as_categories[0].tolist() == values.tolist()
