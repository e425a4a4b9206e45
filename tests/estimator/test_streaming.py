"""Fits of a Dataset read by workers: the same result for any number of them, and errors that name a picture."""

import multiprocessing
import os
import random
import signal
from unittest import mock

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.data.workers import Workers
from noisyflywheel.datasets import load_image_folder
from noisyflywheel.exceptions import RowReadError
from noisyflywheel.nets.workers import worker_options
from noisyflywheel.persistence.fingerprint import parameter_fingerprint

pytestmark = pytest.mark.usefixtures("quick_folds")

X, Y = load_digits(return_X_y=True)
X, Y = X[:200].astype(np.float32), Y[:200]


class Rows(Dataset):
    """Digits; each item notes who read it."""

    def __init__(self, readers=None):
        self.readers = readers

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        if self.readers is not None:
            self.readers[0 if multiprocessing.parent_process() is None else 1] += 1
        return torch.from_numpy(X[i]), int(Y[i])


class Noisy(Rows):
    """Each item draws noise from all global generators."""

    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return x + torch.rand(64) + np.random.rand() + random.random(), y  # noqa: NPY002


class FewNoisy(Rows):
    """Only some rows of the first ``n`` draw, as where another picture stands for one that cannot be read."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return (X[np.random.randint(self.n)] if i % 7 == 3 else x), y  # noqa: NPY002


def global_states():
    numpy_state = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), numpy_state[1].tolist(), numpy_state[2], random.getstate()


def net(**params):
    return NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, batch_size=32, lr=0.05, train_split=None, **params)


def fit(data, y=None, main=None, **params):
    params = {"n_warmup_epochs": 2, "n_cycles": 2, "random_state": 0} | params
    return FlywheelClassifier(main or net(), **params).fit(data, y)


def test_one_seed_gives_one_result_for_any_number_of_workers_and_for_an_array():
    expected = fit(X, Y)
    for n_workers in (0, 1, 2):
        clf = fit(Rows(), main=net(iterator_train__num_workers=n_workers))
        np.testing.assert_array_equal(clf.clean_proba_, expected.clean_proba_)
        np.testing.assert_array_equal(clf.predict_proba(Rows()), expected.predict_proba(X))


def children():
    """Processes of this one; those that other tests left, such as joblib's, may be among them."""
    return {process.pid for process in multiprocessing.active_children()}


def test_workers_read_all_but_a_few_rows_and_are_gone_after_the_fit():
    readers, before = torch.zeros(2, dtype=torch.int64).share_memory_(), children()
    clf = fit(Rows(readers), Y, main=net(iterator_train__num_workers=2))
    here, there = readers.tolist()
    assert there > 10 * len(X) and here < 2 * len(X)
    clf.predict(Rows(readers))
    assert readers[1] >= there + len(X) - 2 and not children() - before


@pytest.fixture
def heeds_ctrl_c():
    """A process that was started in the background ignores SIGINT, and so do its workers."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_a_terminal_which_ends_the_workers_too_leaves_the_last_whole_cycle(monkeypatch, heeds_ctrl_c):
    """A RuntimeError told of workers that had exited, and nothing was fitted."""
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.5)  # a wait for workers at their end

    def interrupt(flywheel, row):
        if row["cycle"] == 2:
            for worker in flywheel.loader.source.workers.loader._iterator._workers:
                os.kill(worker.pid, signal.SIGINT)
                worker.join(30)
                assert not worker.is_alive()
            raise KeyboardInterrupt

    main = net(iterator_train__num_workers=1)
    clf = FlywheelClassifier(main, n_warmup_epochs=1, n_cycles=3, random_state=0, on_cycle=interrupt)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(Rows())
    assert clf.n_iter_ == 1 and clf.predict(X[:5]).shape == (5,)


@pytest.fixture
def started(monkeypatch):
    """Workers pay at once; the options of those that are started."""
    for name in ("PAYS_PER_ROW", "PAYS_IN_ALL", "PROBE_SECONDS"):
        monkeypatch.setattr(f"noisyflywheel.data.sources.{name}", 0.0)
    monkeypatch.setattr("noisyflywheel.data.sources.n_workers_here", lambda row_bytes: 2)
    workers = mock.Mock(side_effect=Workers)
    monkeypatch.setattr("noisyflywheel.data.sources.Workers", workers)
    return lambda: [call.args[1] for call in workers.call_args_list]


def test_a_dataset_that_survives_no_fork_is_read_by_no_worker(started):
    """A sample of the rows was, before the fit."""
    fit(Rows(), Y, main=net(iterator_train__num_workers=0)).predict(Rows())
    assert started() == []


def test_all_workers_are_started_as_asked_for(started):
    """Those that read a sample were not; how many of them there are is not asked for."""
    options = {"iterator_train__num_workers": 1, "iterator_train__multiprocessing_context": "fork"}
    fit(Rows(), Y, main=net(**options))
    assert [(found["num_workers"], found["multiprocessing_context"]) for found in started()] == [
        (2, "fork"),
        (1, "fork"),
    ]


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_workers_may_be_asked_for_in_workers_of_joblib(backend):
    """As in a search: loky has put a start method of its own in place of Python's, daemons may have no processes."""
    data, asked = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), net(iterator_train__num_workers=1)
    asked = FlywheelClassifier(asked, n_warmup_epochs=2, n_cycles=2, random_state=0)
    with joblib.parallel_config(backend, n_jobs=2):
        fits = joblib.Parallel()(joblib.delayed(asked.fit)(data) for _ in range(2))
    np.testing.assert_array_equal([clf.clean_proba_ for clf in fits], [fit(X, Y).clean_proba_] * 2)


def test_nested_parameters_reach_the_workers():
    clf = FlywheelClassifier(net(), net()).set_params(main_net__iterator_train__num_workers=3)
    clf.set_params(aux_net__iterator_valid__prefetch_factor=4, aux_net__iterator_train__num_workers=1)
    assert worker_options(main_net=clf.main_net, aux_net=clf.aux_net) == {"num_workers": 3, "prefetch_factor": 4}
    assert worker_options(net=net(iterator_train__shuffle=True)) == {}


@pytest.mark.parametrize("wrong", [-1, 1.5, "2", True])
def test_a_number_of_workers_that_cannot_be_is_named(wrong):
    with pytest.raises(ValueError, match=f"main_net has iterator_train__num_workers={wrong!r}"):
        fit(Rows(), main=net(iterator_train__num_workers=wrong))


def test_workers_are_no_part_of_what_a_checkpoint_belongs_to():
    few, many, other = ({"main_net": net(**params)} for params in WORKERS)
    assert parameter_fingerprint(few) == parameter_fingerprint(many) != parameter_fingerprint(other)


WORKERS = ({}, {"iterator_train__num_workers": 2}, {"iterator_train__shuffle": True})


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_picture_that_cannot_be_read_is_named(tmp_path, n_workers):
    for i in range(12):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 20 * i, np.uint8)).save(tmp_path / "ab"[i % 2] / f"{i:02}.png")
    (tmp_path / "b" / "05.png").write_bytes(b"no picture")
    data = load_image_folder(tmp_path, size=8, lazy=True, verify=False)
    row = data.X.paths.index(str(tmp_path / "b" / "05.png"))
    with pytest.raises(RowReadError, match=rf"row {row} of X \(.*05.png\) cannot be read: BadImagesError"):
        FlywheelClassifier(net(iterator_train__num_workers=n_workers), random_state=0).fit(data.X, data.y)


@pytest.mark.parametrize("form", [{}, {"views": None, "n_folds": 1}], ids=str)
def test_rows_of_a_dataset_in_float64_are_those_in_float32(form):
    params = {"n_warmup_epochs": 2, "n_cycles": 2, "random_state": 0} | form
    single, double = (TensorDataset(torch.from_numpy(X.astype(kind)), torch.from_numpy(Y)) for kind in ("f4", "f8"))
    expected = FlywheelClassifier(**params).fit(single)
    clf = FlywheelClassifier(**params).fit(double)
    np.testing.assert_array_equal(clf.predict_proba(double), expected.predict_proba(single))


def test_a_dataset_has_no_names_of_features():
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0).fit(pd.DataFrame(X).add_prefix("p"), Y)
    assert len(clf.feature_names_in_) == X.shape[1]
    clf.fit(Rows())
    assert not hasattr(clf, "feature_names_in_")


@pytest.mark.parametrize("y", [None, Y])
def test_items_that_draw_at_random_leave_the_global_generators(y):
    before = global_states()
    clf = fit(Noisy(), y)
    assert global_states() == before
    clf.predict(Noisy())
    assert global_states() == before


def test_fits_of_items_that_draw_at_random_go_on(tmp_path):
    clf = fit(Noisy(), warm_start=True, checkpoint_dir=tmp_path)
    assert clf.fit(Noisy()).n_iter_ == 4
    fit(Noisy(), checkpoint_dir=tmp_path)
    n_folders = len(list(tmp_path.iterdir()))
    again = fit(Noisy(), checkpoint_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == n_folders
    np.testing.assert_array_equal(again.clean_proba_, fit(Noisy()).clean_proba_)


@pytest.mark.parametrize("n", [60, 160], ids=["few, which are sorted", "many"])
def test_rows_of_which_some_draw_are_the_same_in_fit_and_predict(n):
    """They came in one version for the order of the rows, in others for each cycle, and in another one to predict."""
    states = global_states()
    net = NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, batch_size=32, train_split=None)
    clf = FlywheelClassifier(net, views=None, n_warmup_epochs=1, n_cycles=1, guard=False, random_state=0)
    predicted = clf.fit(FewNoisy(n)).predict_proba(FewNoisy(n))
    assert np.abs(predicted.max(1) - clf.get_label_issues()["predicted_confidence"]).max() < 1e-5
    assert global_states() == states
