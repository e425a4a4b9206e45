"""Checkpoints of a fit: resumed bit by bit, refused where they do not belong, never mixed."""

import functools
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn

from noisyflywheel import FlywheelClassifier, FlywheelWarning
from noisyflywheel.backbones import MLP
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.watch import checkpoints as resume
from noisyflywheel.persistence import CheckpointError, save_checkpoint
from noisyflywheel.persistence.store import FILE

pytestmark = pytest.mark.usefixtures("quick_folds_of_module")

X, Y = load_digits(return_X_y=True)
X, Y = X[:90], Y[:90]
QUICK = {"n_warmup_epochs": 3, "n_cycles": 3, "n_folds": 1, "random_state": 0, "guard": False}


@functools.cache
def quick_fit():
    """The fit that all interrupted ones have to end as."""
    return FlywheelClassifier(**QUICK).fit(X, Y)


@functools.cache
def whole_fit(variant):
    return FlywheelClassifier(**QUICK | VARIANTS[variant]).fit(X, Y)


def assert_same(a, b):
    assert vars(a).keys() == vars(b).keys()
    for name, value in vars(a).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(b, name), err_msg=name)
    timed = [name for name in a.history_ if name.endswith("_seconds")]
    pd.testing.assert_frame_equal(a.history_.drop(columns=timed), b.history_.drop(columns=timed))
    assert a.n_warmup_epochs_ == b.n_warmup_epochs_
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


class Stop(Exception):
    """Stands for a crash."""


def crash_at(monkeypatch, method, call, error=Stop):
    """The ``call``-th call of this method of the loop raises."""
    count = 0
    original = getattr(Flywheel, method)

    def crashing(self, *args, **kwargs):
        nonlocal count
        count += 1
        if count == call:
            raise error
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Flywheel, method, crashing)


@pytest.fixture(autouse=True)
def _every_time(monkeypatch):
    """Write a checkpoint whenever it could be written."""
    monkeypatch.setattr(resume.FitCheckpoints, "due", lambda self, seconds=0.0: self.folder is not None)


OFTEN = ["warm_up_epoch", "_e_step_main", "_m_step_auxiliary", "_resample", "_m_step_main"]
"""Steps that are taken three times and more."""


@pytest.mark.parametrize(
    ("method", "call"), [("start_cycles", 1), ("close", 1), *((method, call) for method in OFTEN for call in (1, 3))]
)
def test_a_crash_anywhere_changes_nothing(tmp_path, monkeypatch, method, call):
    with monkeypatch.context() as patch:
        crash_at(patch, method, call)
        with pytest.raises(Stop):
            FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    assert_same(FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y), quick_fit())


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    for method, call in (("warm_up_epoch", 3), ("steps_to_resampling", 2), ("step_after_resampling", 2)):
        with monkeypatch.context() as patch:
            crash_at(patch, method, call)
            with pytest.raises(Stop):
                FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    crash_at(monkeypatch, "warm_up_epoch", 1)
    crash_at(monkeypatch, "steps_to_resampling", 1)
    crash_at(monkeypatch, "step_after_resampling", 2)
    clf = FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    assert list(clf.history_.cycle) == [1, 2, 3]


@pytest.mark.parametrize("method", OFTEN[1:])
def test_ctrl_c_in_a_cycle_leaves_the_last_good_state(tmp_path, monkeypatch, method):
    """Interrupted in its third cycle, the estimator is the one that two cycles make (with the same schedules)."""
    whole = FlywheelClassifier(**QUICK).set_params(on_cycle=lambda flywheel, row: seen.append(em_state(flywheel)))
    seen = []
    whole.fit(X, Y)
    clf = FlywheelClassifier(**QUICK)
    rng, numpy_rng = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with monkeypatch.context() as patch:
        crash_at(patch, method, 3, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, Y)
    assert torch.equal(torch.get_rng_state(), rng)
    assert (np.random.get_state()[1] == numpy_rng).all()  # noqa: NPY002
    assert clf.n_iter_ == 2
    assert np.isfinite(clf.predict_proba(X)).all()
    f_weights = clf.aux_net_.module_.head.weight.detach()
    assert torch.equal(f_weights, seen[1])


def em_state(flywheel):
    return flywheel.aux.net.module_.head.weight.detach().clone()


@pytest.mark.parametrize("call", [1, 2])
def test_ctrl_c_in_the_warm_up_leaves_nothing_fitted(tmp_path, monkeypatch, call):
    clf = FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path)
    with monkeypatch.context() as patch:
        crash_at(patch, "warm_up_epoch", call, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, Y)
    assert not hasattr(clf, "classes_")
    assert_same(clf.fit(X, Y), quick_fit())


VARIANTS = {
    "auto warm-up": {"n_warmup_epochs": "auto"},
    "guard": {"guard": True},
    "without f": {"refurbish": False},
    "paper": {
        "resample": "argmax",
        "calibrate": False,
        "cr_ramp": 0,
        "mixup_alpha": 4.0,
        "contrastive_weight": 0.025,
    },
    "subset": {"cycle_size": 50},
    "averaged weights": {"average_epochs": 3.0},
    "schedules and dropout": {
        "main_net": NeuralNetClassifier(
            MLP,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW,
            lr=0.01,
            module__dropout=0.2,
            callbacks=[LRScheduler("CosineAnnealingLR", T_max=7)],
            train_split=None,
        )
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("method", "call"), [("warm_up_epoch", 3), ("_m_step_main", 3)])
@pytest.mark.filterwarnings("ignore::noisyflywheel.FlywheelWarning")
def test_every_configuration_resumes(tmp_path, monkeypatch, variant, method, call):
    params = QUICK | VARIANTS[variant]
    whole = whole_fit(variant)
    with monkeypatch.context() as patch:
        crash_at(patch, method, call)
        with pytest.raises(Stop):
            FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y)
    assert_same(FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y), whole)


def test_images_resume(tmp_path, monkeypatch):
    pictures = (X.reshape(-1, 8, 8) * 15).astype(np.uint8)[:60]
    params = QUICK | {"n_cycles": 2}
    whole = FlywheelClassifier(**params).fit(pictures, Y[:60])
    with monkeypatch.context() as patch:
        crash_at(patch, "_m_step_main", 2)
        with pytest.raises(Stop):
            FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(pictures, Y[:60])
    again = FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(pictures, Y[:60])
    np.testing.assert_array_equal(again.predict_proba(pictures), whole.predict_proba(pictures))
    np.testing.assert_array_equal(again.clean_proba_, whole.clean_proba_)


def test_random_state_none_goes_on_with_its_own_seeds(tmp_path, monkeypatch):
    params = QUICK | {"random_state": None}
    with monkeypatch.context() as patch:
        crash_at(patch, "_m_step_main", 3)
        with pytest.raises(Stop):
            FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y)
    shutil.copytree(tmp_path, tmp_path.parent / "copy")
    first = FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y)
    assert_same(first, FlywheelClassifier(**params, checkpoint_dir=tmp_path.parent / "copy").fit(X, Y))


def test_a_finished_fit_is_not_trained_again(tmp_path, monkeypatch):
    whole = FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    crash_at(monkeypatch, "steps_to_resampling", 1)
    crash_at(monkeypatch, "warm_up_epoch", 1)
    assert_same(FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y), whole)


def test_warm_start_continues_and_resumes(tmp_path, monkeypatch):
    params = QUICK | {"warm_start": True}
    whole = FlywheelClassifier(**params).fit(X, Y).fit(X, Y)
    clf = FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y)
    with monkeypatch.context() as patch:
        crash_at(patch, "_m_step_main", 2)
        with pytest.raises(Stop):
            clf.fit(X, Y)
    assert_same(clf.fit(X, Y), whole)
    assert clf.n_iter_ == 6


def test_warm_starts_of_fits_that_ended_otherwise_have_folders_of_their_own(tmp_path):
    def twice(directory, **first):
        clf = FlywheelClassifier(**QUICK | {"warm_start": True, "n_cycles": 2} | first, checkpoint_dir=directory)
        return clf.fit(X, Y).set_params(cr_weight=3.0).fit(X, Y)

    twice(tmp_path, cr_weight=0.0)
    assert_same(twice(tmp_path), twice(None))
    assert len(list(tmp_path.iterdir())) == 4
    twice(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_other_data_and_parameters_start_anew_in_folders_of_their_own(tmp_path):
    fits = [
        FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y),
        FlywheelClassifier(**QUICK | {"n_cycles": 2}, checkpoint_dir=tmp_path).fit(X, Y),
        FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X + 1, Y),
        FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y[::-1]),
        FlywheelClassifier(**QUICK | {"random_state": 1}, checkpoint_dir=tmp_path).fit(X, Y),
    ]
    assert len(list(tmp_path.iterdir())) == len(fits)
    assert_same(fits[1], FlywheelClassifier(**QUICK | {"n_cycles": 2}).fit(X, Y))


def folder_of(root):
    (folder,) = root.iterdir()
    return folder


def net_of(module, **params):
    return NeuralNetClassifier(
        module, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.01, train_split=None, **params
    )


def nets_of_one_name(kind):
    """Two nets, which differ by the code of what has the same name."""
    if kind == "schedule":
        schedules = [LRScheduler("LambdaLR", lr_lambda=by) for by in (lambda e: 0.9**e, lambda e: 0.1**e)]
        return [net_of(MLP, callbacks=[("lr", schedule)]) for schedule in schedules]
    if kind == "lambda":
        return [net_of(lambda: nn.Linear(64, 10)), net_of(lambda: nn.Sequential(nn.Tanh(), nn.Linear(64, 10)))]
    if kind == "loop":
        return [
            net_of(functools.partial(lambda act: nn.Sequential(act(), nn.Linear(64, 10)), act))
            for act in (nn.ReLU, nn.Tanh)
        ]
    made = []
    for forward in (lambda self, x: self.head(x), lambda self, x: self.head(x.tanh())):

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(64, 10)

        Net.forward = forward
        made.append(net_of(Net))
    return made


@pytest.mark.parametrize("kind", ["class", "lambda", "loop", "schedule"])
def test_nets_of_other_code_under_the_same_name_start_anew(tmp_path, kind):
    cycles = []
    for net in nets_of_one_name(kind):
        params = QUICK | {"main_net": net, "on_cycle": lambda flywheel, row: cycles.append(row["cycle"])}
        clf = FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y)
        assert_same(clf, FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y))
    assert cycles == [1, 2, 3, 1, 2, 3]
    assert len([folder for folder in tmp_path.iterdir() if folder.is_dir()]) == 2


class Slows(Callback):
    """Lowers the learning rate by what it has counted, with and without tensors."""

    def initialize(self):
        self.n, self.rate = 0, None
        return self

    def on_batch_end(self, net, training=None, **kwargs):
        self.n += 1

    def on_epoch_end(self, net, **kwargs):
        self.rate = torch.tensor(0.01) if self.rate is None else self.rate * 0.9
        for group in net.optimizer_.param_groups:
            group["lr"] = float(self.rate) / (1 + 0.1 * self.n)


class Counting(nn.Module):
    """Its output depends on how often it was trained: by a buffer that is not saved, and by a number."""

    def __init__(self):
        super().__init__()
        self.head, self.calls = nn.Linear(64, 10), 0
        self.register_buffer("seen", torch.zeros(1), persistent=False)

    def forward(self, x):
        if self.training:
            self.calls += 1
            self.seen += 1
        return self.head(x) * (1 + 0.01 * self.calls + 0.02 * self.seen)


class CountingViews:
    """Noise that grows with each call."""

    calls = 0

    def weak(self, x):
        self.calls += 1
        return x + 0.01 * self.calls

    strong = weak


OWN_STATE = {
    "callback": {"main_net": net_of(MLP, callbacks=[Slows()])},
    "module": {"main_net": net_of(Counting)},
    "views": {"main_net": net_of(MLP), "views": CountingViews()},
}


@pytest.mark.parametrize("kind", OWN_STATE)
@pytest.mark.parametrize(("method", "call"), [("warm_up_epoch", 3), ("_m_step_main", 2)])
def test_what_callbacks_modules_and_views_count_goes_on(tmp_path, monkeypatch, kind, method, call):
    params = QUICK | OWN_STATE[kind]
    with monkeypatch.context() as patch:
        crash_at(patch, method, call)
        with pytest.raises(Stop):
            FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y)
    assert_same(FlywheelClassifier(**params, checkpoint_dir=tmp_path).fit(X, Y), FlywheelClassifier(**params).fit(X, Y))


def test_warm_start_sets_parameters_anew_and_counts_on():
    """Attributes that end in an underscore go on; the others are those of the fit with its own parameters."""

    class Stops(EarlyStopping):
        def on_epoch_end(self, net, **kwargs):
            seen.append((self.patience, self.misses_))
            super().on_epoch_end(net, **kwargs)

    seen = []
    net = net_of(
        MLP, callbacks=[("stop", Stops("train_loss", patience=50, sink=lambda text: None))], module__dropout=0.1
    )
    clf = FlywheelClassifier(**QUICK | {"main_net": net, "warm_start": True}).fit(X, Y)
    n_first = len(seen)
    clf.set_params(main_net__callbacks__stop__patience=60, main_net__module__dropout=0.2).fit(X, Y)
    assert {patience for patience, _ in seen[:n_first]} == {50} and {patience for patience, _ in seen[n_first:]} == {60}
    assert seen[n_first][1] == 0 and clf.main_net_.module_.body[-1].p == 0.2


def test_a_checkpoint_in_a_wrong_folder_is_refused(tmp_path):
    FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path / "a").fit(X, Y)
    FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path / "b").fit(X + 1, Y)
    FlywheelClassifier(**QUICK | {"n_cycles": 2}, checkpoint_dir=tmp_path / "c").fit(X, Y)
    for other, kind in (("b", "data"), ("c", "parameters")):
        shutil.copy(folder_of(tmp_path / other) / FILE, folder_of(tmp_path / "a"))
        with pytest.raises(CheckpointError, match=f"belongs to a fit with other {kind}"):
            FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path / "a").fit(X, Y)


@pytest.mark.parametrize("place", [3, -3, 0.5])
def test_a_damaged_checkpoint_is_refused_with_advice(tmp_path, place):
    FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    path = folder_of(tmp_path) / FILE
    raw = bytearray(path.read_bytes())
    raw[place if isinstance(place, int) else int(place * len(raw))] ^= 4
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="Remove the folder .* to start this fit anew") as caught:
        FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    assert caught.value.path == str(path)


def test_a_folder_of_the_first_format_is_refused_with_its_version(tmp_path):
    old = tmp_path / "0123456789abcdef" / "generation-00000003"
    old.mkdir(parents=True)
    (old / "manifest.json").write_text('{"format": "noisyflywheel-checkpoint", "version": 1}')
    with pytest.raises(
        CheckpointError, match=r"written by noisyflywheel 0\.1\.0 in format 1.*another directory"
    ) as caught:
        FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    assert caught.value.path == str(old)


def test_a_checkpoint_that_fits_nothing_is_refused(tmp_path):
    FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    folder = folder_of(tmp_path)
    save_checkpoint(folder, {"kind": "estimator"})
    with pytest.raises(CheckpointError, match="no checkpoint of a fit"):
        FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)


@pytest.mark.processes
def test_grid_search_in_parallel_never_mixes(tmp_path):
    grid = {"cr_weight": [0.5, 3.0]}
    searches = []
    for directory, jobs in ((None, 1), (tmp_path, 2), (tmp_path, 2)):
        clf = FlywheelClassifier(**QUICK | {"n_cycles": 2}, checkpoint_dir=directory)
        searches.append(GridSearchCV(clf, grid, cv=2, n_jobs=jobs).fit(X, Y))
    for search in searches[1:]:
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], searches[0].cv_results_["mean_test_score"])
    assert len(list(tmp_path.iterdir())) == 5  # four fits and the last one on all rows


def test_checkpoint_dir_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file.*checkpoint_dir cannot be written"):
        FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path / "file").fit(X, Y)


def test_a_disk_that_fills_up_later_warns_and_goes_on(tmp_path, monkeypatch):
    whole = quick_fit()
    count = 0
    original = resume.save_checkpoint

    def filling(*args):
        nonlocal count
        count += 1
        if count > 3:
            raise CheckpointError(args[0], "cannot be written (No space left on device)")
        return original(*args)

    monkeypatch.setattr(resume, "save_checkpoint", filling)
    with pytest.warns(FlywheelWarning, match="No space left on device.*the last one is still there"):
        clf = FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)
    assert_same(clf, whole)
    monkeypatch.undo()
    assert_same(FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y), whole)


def test_a_disk_that_is_full_at_once_is_an_error(tmp_path, monkeypatch):
    def full(*args):
        raise CheckpointError(args[0], "cannot be written (No space left on device)")

    monkeypatch.setattr(resume, "save_checkpoint", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path).fit(X, Y)


def test_without_checkpoint_dir_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FlywheelClassifier(**QUICK).fit(X, Y)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_all_rows_are_judged_at_the_end_loses_nothing(monkeypatch):
    with monkeypatch.context() as patch:
        crash_at(patch, "close", 1, KeyboardInterrupt)
        clf = FlywheelClassifier(**QUICK)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, Y)
    assert_same(clf, quick_fit())
    assert clf.decisions_["decision"].is_unique


def test_ctrl_c_after_a_cycle_has_its_row_takes_the_row_back(monkeypatch):
    with monkeypatch.context() as patch:
        crash_at(patch, "begin_round", 1, KeyboardInterrupt)
        clf = FlywheelClassifier(**QUICK, warm_start=True)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, Y)
    assert clf.n_iter_ == 2 and list(clf.history_["cycle"]) == [1, 2]
    assert list(clf.fit(X, Y).history_["cycle"]) == [1, 2, 3, 4, 5]
