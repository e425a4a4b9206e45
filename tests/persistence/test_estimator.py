"""Saved estimators: our format, pickle, joblib, copies and skops; nothing is executed on the way in."""

import copy
import functools
import os
import pickle
import random
import subprocess
import sys

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.nets.devices import net_device
from noisyflywheel.persistence import CheckpointError, load_checkpoint, save_checkpoint
from noisyflywheel.persistence import fitted as fitted_values
from noisyflywheel.persistence.store import FILE
from noisyflywheel.views import VectorViews
from noisyflywheel.views.adapter import ViewAdapter

pytestmark = pytest.mark.usefixtures("quick_folds")

X, Y = load_iris(return_X_y=True)
SHORT = {"n_warmup_epochs": 1, "n_cycles": 2, "random_state": 0}

TRUSTED = ["noisyflywheel.estimator.classifier.FlywheelClassifier"]
"""What a reader of a skops file has to trust for an estimator with default nets and views."""


class UserModule(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_features, 8), nn.ReLU(), nn.Linear(8, n_classes))

    def forward(self, x):
        return self.layers(x)


class UserViews:
    """Views of the user's own: no parameters, one fitted tensor."""

    def fit(self, x):
        self.scale_ = x.std(0)
        return self

    def weak(self, x):
        return x + 0.1 * self.scale_

    def strong(self, x):
        return x - 0.1 * self.scale_

    def plain(self, x):
        return x / self.scale_


def user_net(**kwargs):
    return NeuralNetClassifier(UserModule, criterion=nn.CrossEntropyLoss, train_split=None, **kwargs)


def assert_same(a, b, X=X):
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    pd.testing.assert_frame_equal(a.get_label_issues(), b.get_label_issues())
    pd.testing.assert_frame_equal(a.get_class_summary(), b.get_class_summary())
    timed = [name for name in a.history_ if name.endswith("_seconds")]
    pd.testing.assert_frame_equal(a.history_.drop(columns=timed), b.history_.drop(columns=timed))
    for name, value in vars(a).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(b, name))
            assert value.dtype == getattr(b, name).dtype


@pytest.fixture(scope="module")
def fitted():
    frame = pd.DataFrame(X, columns=list("abcd"), index=[f"row {i}" for i in range(150)])
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[Y]
    return FlywheelClassifier(**SHORT, n_folds=1).fit(frame, names), frame


def test_save_and_load(fitted, tmp_path):
    clf, frame = fitted
    clf.save(tmp_path / "model")
    loaded = FlywheelClassifier.load(tmp_path / "model")
    assert_same(clf, loaded, frame)
    assert loaded.get_params() == clf.get_params()
    assert list(loaded.feature_names_in_) == list("abcd")
    assert loaded.get_label_issues().index.tolist()[:2] == ["row 0", "row 1"]


def test_a_device_to_load_on_that_is_not_there_is_no_fault_of_the_file(fitted, tmp_path):
    clf, frame = fitted
    clf.save(tmp_path)
    for device, words in (("cuda:99", "device='cuda:99', which is not there"), ("gpu", "a torch device, got 'gpu'")):
        with pytest.raises(ValueError, match=words):
            FlywheelClassifier.load(tmp_path, device=device)
    loaded = FlywheelClassifier.load(tmp_path, device="auto")
    assert loaded.get_params() == clf.get_params() and len(loaded.predict(frame)) == len(frame)


@pytest.mark.parametrize("saved", ["auto", "cuda:7", torch.device("cpu")])
def test_the_device_of_later_fits_is_what_it_was_unless_another_is_given(fitted, tmp_path, saved):
    clf, frame = fitted
    copied = copy.copy(clf).set_params(device=saved)
    copied.save(tmp_path)
    loaded, moved = FlywheelClassifier.load(tmp_path), FlywheelClassifier.load(tmp_path, device="cpu")
    assert [clone(loaded).device, moved.device] == [str(saved), "cpu"]
    assert {net_device(net).type for net in (loaded.main_net_, loaded.aux_net_, moved.aux_net_)} == {"cpu"}
    assert_same(clf, loaded, frame)


def test_saving_again_replaces(fitted, tmp_path):
    clf, frame = fitted
    clf.save(tmp_path)
    clf.save(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 1
    assert_same(clf, FlywheelClassifier.load(tmp_path), frame)


def test_loading_changes_no_global_state(fitted, tmp_path):
    fitted[0].save(tmp_path)
    torch.manual_seed(5)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    FlywheelClassifier.load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


def test_nets_of_the_users_have_to_be_handed_in(tmp_path):
    clf = FlywheelClassifier(user_net(lr=0.05), **SHORT).fit(X, Y)
    clf.save(tmp_path)
    with pytest.raises(ValueError, match="main_net of class 'NeuralNetClassifier': pass main_net="):
        FlywheelClassifier.load(tmp_path)
    assert_same(clf, FlywheelClassifier.load(tmp_path, main_net=user_net()))
    wrong = NeuralNetClassifier(nn.Linear, module__in_features=4, module__out_features=3, train_split=None)
    with pytest.raises(CheckpointError, match="does not belong to this estimator"):
        FlywheelClassifier.load(tmp_path, main_net=wrong)


def thirds(z):
    return (z / 3).softmax(1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"criterion": nn.NLLLoss}, "main_net was fitted with criterion CrossEntropyLoss, and this one has NLLLoss"),
        ({"predict_nonlinearity": None}, "main_net was fitted with predict_nonlinearity auto, .* has None"),
        ({"predict_nonlinearity": thirds}, "main_net was fitted with predict_nonlinearity auto, .* has thirds"),
    ],
)
def test_nets_whose_output_is_read_otherwise_are_refused(tmp_path, given, words):
    """Weights alone fit, and the probabilities were wrong."""
    FlywheelClassifier(user_net(), **SHORT).fit(X, Y).save(tmp_path)
    net = user_net().set_params(**given)
    with pytest.raises(CheckpointError, match=words):
        FlywheelClassifier.load(tmp_path, main_net=net)
    signed(tmp_path, lambda state: [state["fitted"]["nets"][name].pop("reading") for name in ("main_net_", "aux_net_")])
    FlywheelClassifier.load(tmp_path, main_net=net)  # an earlier version wrote no such names


@pytest.mark.parametrize(
    "nonlinearity", [thirds, lambda z: (z / 2).softmax(1), functools.partial(torch.softmax, dim=1)]
)
def test_nets_whose_output_is_read_in_a_way_of_their_own_are_taken(tmp_path, nonlinearity):
    clf = FlywheelClassifier(user_net(predict_nonlinearity=nonlinearity), **SHORT).fit(X, Y)
    clf.save(tmp_path)
    assert_same(clf, FlywheelClassifier.load(tmp_path, main_net=user_net(predict_nonlinearity=nonlinearity)))


class Scaled(UserModule):
    """What it learns beside the weights is in a buffer that its state_dict leaves out."""

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)
        self.register_buffer("seen", torch.zeros(1), persistent=False)

    def forward(self, x):
        if self.training:
            self.seen += 1
        return super().forward(x) * (1 + self.seen / 10)


def test_buffers_that_no_state_dict_has_are_saved(tmp_path):
    net = user_net().set_params(module=Scaled)
    clf = FlywheelClassifier(net, **SHORT).fit(X, Y)
    clf.save(tmp_path)
    assert_same(clf, FlywheelClassifier.load(tmp_path, main_net=net))


@pytest.mark.parametrize("n_features", [None, (4, 1)])
def test_widths_of_the_users_may_be_anything(tmp_path, n_features):
    net = user_net(module__n_features=n_features)
    net.set_params(module=lambda n_features, n_classes: UserModule(4, n_classes))
    clf = FlywheelClassifier(net, **SHORT).fit(X, Y)
    clf.save(tmp_path)
    assert_same(clf, FlywheelClassifier.load(tmp_path, main_net=net))


def test_views_ours_and_the_users(tmp_path):
    ours = FlywheelClassifier(views=VectorViews(noise=0.2), **SHORT).fit(X, Y)
    ours.save(tmp_path / "ours")
    loaded = FlywheelClassifier.load(tmp_path / "ours")
    assert loaded.views.noise == 0.2
    assert_same(ours, loaded)
    theirs = FlywheelClassifier(views=UserViews(), **SHORT).fit(X, Y)
    theirs.save(tmp_path / "theirs")
    with pytest.raises(ValueError, match="pass views="):
        FlywheelClassifier.load(tmp_path / "theirs")
    assert_same(theirs, FlywheelClassifier.load(tmp_path / "theirs", views=UserViews()))
    none = FlywheelClassifier(views=None, **SHORT).fit(X, Y)
    none.save(tmp_path / "none")
    assert_same(none, FlywheelClassifier.load(tmp_path / "none"))


class UnfittedViews(UserViews):
    """What is fitted has a value before, in the class."""

    scale_ = None
    _own_ = None

    def fit(self, x):
        self.scale_ = x.std(0)
        return self

    def call_(self):
        """No fitted value."""

    @property
    def made_(self):
        """Neither."""


def test_fitted_values_of_views_may_have_one_in_the_class(tmp_path):
    clf = FlywheelClassifier(views=UnfittedViews(), **SHORT).fit(X, Y)
    clf.save(tmp_path)
    loaded = FlywheelClassifier.load(tmp_path, views=UnfittedViews())
    assert_same(clf, loaded)
    assert torch.equal(loaded.views_.views.scale_, clf.views_.views.scale_)


def test_fitted_values_of_views_are_no_methods_and_not_private(tmp_path):
    clf = FlywheelClassifier(views=UnfittedViews(), **SHORT).fit(X, Y)
    for name in ("call_", "made_", "weak", "_own_", "__class__", "__doc__"):
        clf.save(tmp_path)
        signed(tmp_path, lambda state, name=name: state["fitted"]["views"]["fitted"].update({name: 1}))
        with pytest.raises(CheckpointError, match=f"'{name}' is no fitted attribute"):
            FlywheelClassifier.load(tmp_path, views=UnfittedViews())


def test_warm_start_goes_on_after_loading(tmp_path):
    clf = FlywheelClassifier(warm_start=True, **SHORT).fit(X, Y)
    clf.save(tmp_path)
    loaded = FlywheelClassifier.load(tmp_path)
    again = skops.io.loads(skops.io.dumps(clf), trusted=TRUSTED)
    for other in (loaded, again):
        other.fit(X, Y)
    assert_same(clf.fit(X, Y), loaded)
    assert_same(clf, again)
    assert clf.n_iter_ == 4


def test_images_and_the_ablation_without_f(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(40, 8, 8, 3), dtype=np.uint8)
    clf = FlywheelClassifier(**SHORT).fit(images, np.arange(40) % 2)
    clf.save(tmp_path / "images")
    loaded = FlywheelClassifier.load(tmp_path / "images")
    torch.testing.assert_close(clf.predict_proba(images), loaded.predict_proba(images), rtol=0, atol=0)
    alone = FlywheelClassifier(refurbish=False, **SHORT).fit(X, Y)
    alone.save(tmp_path / "alone")
    assert_same(alone, FlywheelClassifier.load(tmp_path / "alone"))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, 7, 9])[Y],
        np.array([False, True, True])[Y],
        np.array(["a", "b", "c"])[Y],
        np.array([0.0, 1.0, 2.0])[Y],
        pd.Series(pd.Categorical(np.array(["x", "y", "z"])[Y])),
    ],
)
def test_label_types_survive(tmp_path, labels):
    clf = FlywheelClassifier(**SHORT).fit(X, labels)
    clf.save(tmp_path)
    assert_same(clf, FlywheelClassifier.load(tmp_path))


INDICES = [
    pd.RangeIndex(3, 453, 3, name="n"),
    pd.Index(np.arange(150) * 2, name=("a", 1)),
    pd.date_range("2020-01-01", periods=150, tz="Europe/Berlin"),
    pd.MultiIndex.from_arrays([["a", "b", "c"] * 50, range(150)], names=["l", None]),
    pd.period_range("2020-01", periods=150, freq="M"),
    pd.interval_range(0, 150),
    pd.Index(pd.date_range("2020-01-01", periods=150).date),
    pd.Index(range(150), dtype="Int64"),
    pd.CategoricalIndex([f"r{i}" for i in range(150)]),
]


@pytest.mark.parametrize("index", INDICES)
def test_indices_survive(fitted, tmp_path, index):
    clf = copy.copy(fitted[0])
    clf._index = index
    clf.save(tmp_path)
    found = FlywheelClassifier.load(tmp_path).get_label_issues().index
    assert found.equals(index)
    assert found.names == index.names
    assert found.dtype == index.dtype


def test_what_cannot_be_saved(fitted, tmp_path):
    with pytest.raises(NotFittedError):
        FlywheelClassifier().save(tmp_path / "x")
    clf = copy.copy(fitted[0])
    clf.extra_ = object()
    with pytest.raises(TypeError, match="extra_ is a object, which cannot be stored"):
        clf.save(tmp_path / "x")
    assert not (tmp_path / "x").exists()
    clf = copy.copy(fitted[0])
    clf._index = pd.Index([frozenset([i]) for i in range(150)])
    with pytest.raises(TypeError, match=r"index of X or y \(.*_index\) .* cannot be stored: .* reset_index"):
        clf.save(tmp_path / "x")
    clf = copy.deepcopy(fitted[0])
    clf.views_.views = UserViews().fit(torch.eye(3))
    clf.views_.views.scaler_ = object()
    with pytest.raises(TypeError, match="scaler_ is a object, which cannot be stored"):
        clf.save(tmp_path / "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file: cannot be"):
        fitted[0].save(tmp_path / "file")


def test_private_attributes_of_others_are_left_out(fitted, tmp_path):
    clf = copy.copy(fitted[0])
    clf._of_scikit_learn = object()
    clf.save(tmp_path)
    loaded = FlywheelClassifier.load(tmp_path)
    assert vars(clf).keys() - vars(loaded) == {"_of_scikit_learn"}
    assert_same(clf, loaded, fitted[1])


def test_a_checkpoint_of_a_fit_is_no_estimator(tmp_path):
    save_checkpoint(tmp_path, {"kind": "fit"})
    with pytest.raises(CheckpointError, match="holds no saved estimator"):
        FlywheelClassifier.load(tmp_path)


# files that were tampered with


def signed(path, change):
    """Change the stored state and sign it again."""
    loaded = load_checkpoint(path)
    change(loaded)
    save_checkpoint(path, loaded)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["params"].update({"os": "system"}),
        lambda s: s["params"].pop("views"),
        lambda s: s["params"].update(views={"class": "os.system", "params": {"command": "x"}}),
        lambda s: s["fitted"]["attributes"].update(predict=1),
        lambda s: s["fitted"]["attributes"].update({"__class__": 1}),
        lambda s: s["fitted"]["attributes"].update({"not a name": 1}),
        lambda s: s["fitted"]["attributes"].update(classes_={"import": "os"}),
        lambda s: s["fitted"]["attributes"].pop("classes_"),
        lambda s: s["fitted"]["views"].update(views={"class": "subprocess.Popen", "params": {"args": "ls"}}),
        lambda s: s["fitted"]["views"].update(views={"class": "os.system"}),
        lambda s: s["fitted"]["views"]["fitted"].update(__init__=1),
        lambda s: s["fitted"]["views"]["adapter"].update(plain=1),
        lambda s: s["fitted"]["views"].update(views={"given by the caller": "UserViews"}),
        lambda s: s["fitted"]["nets"]["aux_net_"]["parts"].pop("module"),
        lambda s: s["fitted"]["nets"].update(predict=s["fitted"]["nets"]["aux_net_"]),
        lambda s: s.pop("fitted"),
        lambda s: s.update(fitted=[1, 2]),
        lambda s: s.update(params="x"),
    ],
)
def test_signed_tampering_is_refused_and_executes_nothing(fitted, tmp_path, watched, change):
    fitted[0].save(tmp_path)
    FlywheelClassifier.load(tmp_path)  # imports done
    signed(tmp_path, change)
    with watched() as record, pytest.raises(CheckpointError):
        FlywheelClassifier.load(tmp_path)
    assert record == []


def test_random_harm_to_a_saved_estimator(fitted, tmp_path):
    fitted[0].save(tmp_path)
    path = tmp_path / FILE
    kept = path.read_bytes()
    rng = random.Random(0)
    for _ in range(100):
        raw = bytearray(kept)
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(raw)
        with pytest.raises(CheckpointError):
            FlywheelClassifier.load(tmp_path)


def test_an_estimator_saved_in_the_first_format_is_refused_with_its_version(tmp_path):
    old = tmp_path / "generation-00000000"
    old.mkdir()
    (old / "manifest.json").write_text('{"format": "noisyflywheel-checkpoint", "version": 1}')
    with pytest.raises(CheckpointError, match=r"written by noisyflywheel 0\.1\.0 in format 1"):
        FlywheelClassifier.load(tmp_path)


# pickle and its relatives, skops


@pytest.mark.parametrize(
    "through",
    [
        lambda c, p: pickle.loads(pickle.dumps(c)),
        lambda c, p: pickle.loads(pickle.dumps(c, protocol=2)),
        lambda c, p: cloudpickle.loads(cloudpickle.dumps(c)),
        lambda c, p: joblib.load(joblib.dump(c, p / "clf.joblib")[0]),
        lambda c, p: copy.deepcopy(c),
        lambda c, p: copy.copy(c),
        lambda c, p: skops.io.loads(skops.io.dumps(c), trusted=TRUSTED),
    ],
    ids=["pickle", "protocol 2", "cloudpickle", "joblib", "deepcopy", "copy", "skops"],
)
def test_round_trips(fitted, tmp_path, through):
    clf, frame = fitted
    again = through(clf, tmp_path)
    assert_same(clf, again, frame)
    assert again.get_params() == clf.get_params()
    clone(again).fit(X[:60], Y[:60])


def test_a_pickle_of_an_earlier_version_lacks_a_parameter(fitted):
    clf, frame = copy.copy(fitted[0]), fitted[1]
    del clf.distribution_alignment
    again = copy.copy(clf)
    assert again.get_params() == fitted[0].get_params()
    assert_same(fitted[0], again, frame)


def test_an_estimator_of_an_earlier_version_kept_the_prediction_of_f(fitted, tmp_path, monkeypatch):
    clf, issues = fitted[0], fitted[0].get_label_issues()
    old = copy.copy(clf)
    share = (1 - old._confidence) / 2
    proba = np.repeat(share[:, None], 3, axis=1)
    proba[np.arange(150), old._predicted] = old._confidence
    del old._predicted, old._confidence
    old._train_proba = proba.astype(np.float32)
    monkeypatch.setattr(fitted_values, "PRIVATE", (*fitted_values.PRIVATE, "_train_proba"))
    old.save(tmp_path)
    for again in (FlywheelClassifier.load(tmp_path), pickle.loads(pickle.dumps(old))):
        assert vars(again).keys() == vars(clf).keys()
        pd.testing.assert_frame_equal(again.get_label_issues(), issues, rtol=1e-6)


class Named(FlywheelClassifier):
    """A user's own estimator, which cannot be made without a name."""

    def __init__(self, name, *, n_cycles=3):
        super().__init__(n_cycles=n_cycles)
        self.name = name


def test_an_estimator_with_a_parameter_that_must_be_given_round_trips():
    assert pickle.loads(pickle.dumps(Named("audit", n_cycles=5))).get_params() == {"name": "audit", "n_cycles": 5}


def test_unfitted_round_trips():
    clf = FlywheelClassifier(user_net(), views=VectorViews(noise=0.1), n_cycles=3)
    for again in (
        pickle.loads(pickle.dumps(clf)),
        skops.io.loads(skops.io.dumps(clf), trusted=skops.io.get_untrusted_types(data=skops.io.dumps(clf))),
    ):
        assert again.main_net.module is UserModule
        assert again.views.noise == 0.1
        assert not hasattr(again, "classes_")


def test_skops_types_are_as_documented(fitted):
    assert skops.io.get_untrusted_types(data=skops.io.dumps(fitted[0])) == TRUSTED
    clf = FlywheelClassifier(user_net(lr=0.05), views=VectorViews(noise=0.1), **SHORT).fit(X, Y)
    data = skops.io.dumps(clf)
    types = skops.io.get_untrusted_types(data=data)
    assert {f"{__name__}.UserModule", "noisyflywheel.views.vectors.VectorViews", *TRUSTED} <= set(types)
    assert_same(clf, skops.io.loads(data, trusted=types))


# where tensors lie


class OnDevice(torch.Tensor):
    """Stands for a tensor of another device: only its copy on the CPU is a plain one."""

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_pickles_hold_no_tensors_of_a_device():
    clf = FlywheelClassifier(warm_start=True, views=UserViews(), **SHORT).fit(X, Y)
    clf._kept = move(clf._kept)
    clf.views_.views.scale_ = move(clf.views_.views.scale_)
    assert tensor_types(vars(clf)) == {OnDevice}
    again = pickle.loads(pickle.dumps(clf))
    assert tensor_types(vars(again)) == {torch.Tensor}
    assert tensor_types(vars(clf)) == {OnDevice}  # the original stays where it is
    assert_same(again, pickle.loads(pickle.dumps(clf)))


def move(value):
    if isinstance(value, dict):
        return {key: move(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(move, value))
    return value.as_subclass(OnDevice) if isinstance(value, torch.Tensor) else value


def tensor_types(value):
    """Types of all tensors in nested dicts, lists and views."""
    if isinstance(value, torch.Tensor):
        return {type(value)}
    if isinstance(value, ViewAdapter):
        return tensor_types(vars(value.views))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return set().union(*map(tensor_types, inner))


LOAD = """
import pickle, sys, warnings
import numpy as np, torch
warnings.simplefilter("ignore")
assert not torch.cuda.is_available()
with open(sys.argv[1], "rb") as file:
    clf, X, y, proba = pickle.load(file)
np.testing.assert_allclose(clf.predict_proba(X), proba, atol=0.02)
clf.set_params(device="cpu").fit(X, y)
"""


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_pickle_of_a_cuda_fit_loads_and_goes_on_without_cuda(tmp_path):
    clf = FlywheelClassifier(warm_start=True, device="cuda", **SHORT).fit(X, Y)
    (tmp_path / "fit").write_bytes(pickle.dumps((clf, X, Y, clf.predict_proba(X))))
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", LOAD, str(tmp_path / "fit")], check=True, env=environment)
