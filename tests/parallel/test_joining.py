"""Who shares a fit, which device a rank takes, and what is compared before."""

import multiprocessing
import types

import numpy as np
import pytest
import torch
import torch.distributed as dist
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from thread_ranks import on_ranks
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.inputs.labelled_rows import labelled_rows
from noisyflywheel.estimator.inputs.sample_weight import weighted_rows
from noisyflywheel.estimator.job.assemble import choose_nets, resolve_device
from noisyflywheel.estimator.job.fit_job import FitJob
from noisyflywheel.estimator.job.random_states import draw_seeds
from noisyflywheel.estimator.job.ranks import check_ranks
from noisyflywheel.exceptions import RanksError
from noisyflywheel.nets.parallel import Ranks, join, joined
from noisyflywheel.views import VectorViews

LAUNCHED = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "LOCAL_RANK": "1"}


@pytest.fixture
def launched(monkeypatch):
    """As torchrun leaves the environment, in a process of its own."""
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: None)
    monkeypatch.setattr(multiprocessing, "current_process", lambda: types.SimpleNamespace(name="MainProcess"))


def test_a_process_is_alone_unless_it_was_launched_as_one_of_several(launched, monkeypatch):
    assert join.is_launched()
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        with monkeypatch.context() as patch:
            patch.delenv(name)
            assert not join.is_launched()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not join.is_launched()


def test_workers_of_a_launched_process_are_alone(launched, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing, "current_process", lambda: types.SimpleNamespace(name="LokyProcess-1"))
        assert not join.is_launched()
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing, "parent_process", lambda: "the launched one")
        assert not join.is_launched()
    monkeypatch.setattr(join, "get_worker_info", lambda: "of a DataLoader")
    assert not join.is_launched()


def test_a_group_that_the_caller_made_is_shared_but_not_by_forked_children(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda *group: 2)
    monkeypatch.setattr(join, "_inherited", [])
    assert join.has_group()
    join._note_fork()
    assert not join.has_group()
    monkeypatch.setattr(join, "_inherited", [])
    monkeypatch.setattr(dist, "get_world_size", lambda *group: 1)
    assert not join.has_group()


def test_distributed_false_fits_alone(launched):
    with joined(False) as ranks:
        assert ranks.alone


@pytest.mark.parametrize(("value", "error"), [(True, ValueError), ("yes", ValueError), (1, TypeError)])
def test_distributed_is_auto_or_false(value, error):
    with pytest.raises(error, match="distributed must be 'auto' or False"):
        FlywheelClassifier(distributed=value).fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize(("local_rank", "device"), [("1", "cuda:1"), ("5", "cuda:1"), (None, "cuda:0")])
def test_each_rank_takes_the_device_of_its_local_rank(launched, monkeypatch, local_rank, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.delenv("LOCAL_RANK") if local_rank is None else monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert resolve_device("auto", distributed=True) == device
    assert resolve_device("auto") == "cuda" and resolve_device("cuda:0", distributed=True) == "cuda:0"


def test_a_group_has_nccl_for_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert join._backend() == "gloo"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(dist, "is_nccl_available", lambda: True)
    assert join._backend() == "cpu:gloo,cuda:nccl"


def test_fewer_rows_than_ranks_are_refused_on_every_rank():
    params = FlywheelClassifier().get_params(deep=False)
    data = weighted_rows(torch.eye(3), np.array([0, 1, 1]), None)
    nets = choose_nets(params, False, 3)

    def task(ranks):
        with pytest.raises(ValueError, match="3 rows are too few for 4 ranks"):
            check_ranks(ranks, params, nets, data, np.array(["a", "b"]))

    on_ranks(4, task)


@pytest.mark.parametrize("classes", [["a", "c"], [0, 1]])
def test_classes_of_other_names_are_refused_on_every_rank(classes):
    """Each rank ended with its own names for the same numbers."""
    params = FlywheelClassifier().get_params(deep=False)
    data = weighted_rows(torch.eye(3), np.array([0, 1, 1]), None)
    nets = choose_nets(params, False, 3)

    def task(ranks):
        with pytest.raises(ValueError, match="y on rank 1 is not that on rank 0"):
            check_ranks(ranks, params, nets, data, np.array(classes if ranks.rank else ["a", "b"]))

    on_ranks(2, task)


@pytest.mark.parametrize(
    "changed",
    [{"lr": 0.2}, {"optimizer": torch.optim.Adam}, {"optimizer__momentum": 0.5}, {"criterion__label_smoothing": 0.1}],
)
def test_ways_of_training_that_differ_are_refused_on_every_rank(changed):
    """Nets went different ways on their ranks, and these ended with different classifiers."""
    usual = {"lr": 0.1, "optimizer__momentum": 0.9, "criterion": nn.CrossEntropyLoss, "criterion__label_smoothing": 0.0}
    data = weighted_rows(torch.eye(3), np.array([0, 1, 1]), None)

    def task(ranks):
        net = NeuralNetClassifier(nn.Linear, **usual | (changed if ranks.rank else {}))
        params = FlywheelClassifier(aux_net=net).get_params(deep=False)
        with pytest.raises(ValueError, match=f"aux_net__{next(iter(changed))} on rank 1 is not that on rank 0"):
            check_ranks(ranks, params, choose_nets(params, False, 3), data, np.array(["a", "b"]))

    on_ranks(2, task)


class OwnViews:
    """Leave rows as they are."""

    def weak(self, x):
        return x

    strong = weak


@pytest.mark.parametrize(
    "pair", [(None, "auto"), ("auto", OwnViews()), (VectorViews(noise=0.1), VectorViews(noise=0.3))]
)
def test_views_that_differ_are_refused_on_every_rank(pair):
    """One rank drew from generators that others left alone."""
    data = weighted_rows(torch.eye(3), np.array([0, 1, 1]), None)

    def task(ranks):
        params = FlywheelClassifier(views=pair[ranks.rank]).get_params(deep=False)
        with pytest.raises(ValueError, match="views on rank 1 is not that on rank 0"):
            check_ranks(ranks, params, choose_nets(params, False, 3), data, np.array(["a", "b"]))

    on_ranks(2, task)


USUAL = {"module": nn.Linear, "module__hidden": 16, "criterion": nn.CrossEntropyLoss, "batch_size": 32}


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (USUAL, USUAL | {"module__hidden": 8}, "module__hidden"),
        (USUAL, USUAL | {"module": nn.Bilinear}, "module"),
        (None, USUAL, "module"),
        (USUAL, USUAL | {"module__depth": 2}, "module__depth"),
    ],
)
def test_modules_that_differ_are_refused_on_every_rank(first, second, name):
    data = weighted_rows(torch.eye(3), np.array([0, 1, 1]), None)

    def task(ranks):
        own = second if ranks.rank else first
        own = own and NeuralNetClassifier(**own)
        both = {"main_net": own}, {"aux_net": own, "main_net": NeuralNetClassifier(**USUAL)}
        for nets in both if first else both[:1]:
            params = FlywheelClassifier(**nets).get_params(deep=False)
            with pytest.raises(ValueError, match=f"{min(nets)}__{name} on rank 1 is not that on rank 0"):
                check_ranks(ranks, params, choose_nets(params, False, 3), data, np.array(["a", "b"]))

    on_ranks(2, task)


def test_texts_may_name_a_device_or_a_folder_of_a_rank():
    data = weighted_rows(torch.eye(3), np.array([0, 1, 1]), None)

    def task(ranks):
        net = NeuralNetClassifier(**USUAL, module__where=f"cuda:{ranks.rank}")
        params = FlywheelClassifier(net).get_params(deep=False)
        check_ranks(ranks, params, choose_nets(params, False, 3), data, np.array(["a", "b"]))

    on_ranks(2, task)


def test_ranks_may_begin_with_different_weights_and_have_callbacks_and_workers_of_their_own():
    data = weighted_rows(torch.eye(3), np.array([0, 1, 1]), None)

    def task(ranks):
        own = {"callbacks": [Callback()] * ranks.rank, "iterator_train__num_workers": ranks.rank}
        net = NeuralNetClassifier(nn.Linear(3, 2), criterion=nn.CrossEntropyLoss, **own)
        params = FlywheelClassifier(net, views=OwnViews()).get_params(deep=False)
        check_ranks(ranks, params, choose_nets(params, False, 3), data, np.array(["a", "b"]))

    on_ranks(2, task)


def test_what_differs_is_named_with_its_rank():
    def task(ranks):
        with pytest.raises(ValueError, match="seed on rank 2 is not that on rank 0"):
            ranks.check_same(X=1, seed=ranks.rank == 2)

    on_ranks(3, task)


def test_errors_of_collectives_become_ours_and_others_stay():
    broken, other = "[gloo] Connection closed by peer [127.0.0.1]:1. This is typical", "shapes do not fit"
    said = r"in a step: .*only: \[gloo\] Connection closed by peer \[127.0.0.1\]:1$"
    with pytest.raises(RanksError, match=said), Ranks().watched("a step"):
        raise RuntimeError(broken)
    with pytest.raises(RuntimeError, match=other), Ranks().watched("a step"):
        raise RuntimeError(other)


def test_ranks_go_on_from_the_same_fit_or_none_does():
    params = FlywheelClassifier().get_params(deep=False)
    data = weighted_rows(torch.eye(3), np.array([0, 1, 1]), None)
    nets = choose_nets(params, False, 3)
    kept = {"snapshot": {"state": {"q": torch.ones(3)}, "nets": []}}

    def task(ranks):
        with pytest.raises(ValueError, match="the fit that warm_start goes on from on rank 1 is not that on rank 0"):
            check_ranks(ranks, params, nets, data, np.array(["a", "b"]), None if ranks.rank else kept)

    on_ranks(2, task)


def test_a_random_state_goes_on_alike_on_every_rank():
    """Also where ranks have states of their own: seeds are those of rank 0."""
    first = draw_seeds(np.random.RandomState(0))  # noqa: NPY002

    def task(ranks):
        state, later = (np.random.RandomState(ranks.rank) for _ in range(2))  # noqa: NPY002
        clf = FlywheelClassifier(random_state=state)
        data = labelled_rows(clf, np.eye(3, dtype=np.float32), np.array([0, 1, 1]), None)
        ranks.of_first = lambda make, what: ranks.everyones(make() if ranks.rank == 0 else None)[0]
        assert FitJob.of(clf, data, ranks).seeds == first
        draw_seeds(later)
        assert state.randint(1000) == later.randint(1000)

    on_ranks(2, task)
