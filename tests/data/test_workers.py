"""Rows read by worker processes: the same rows, in order, and errors that name the row."""

import contextlib
import gc
import multiprocessing
import os
import random
import re
import signal
import time

import numpy as np
import pytest
import torch
from items import Items
from torch.utils.data import Dataset, Subset, TensorDataset

from noisyflywheel.data import DatasetSource, as_row, map_items, opened, workers
from noisyflywheel.data.global_draws import seed_globals
from noisyflywheel.data.reading import SomeRows, file_of
from noisyflywheel.data.workers import n_workers_here, pieces_of
from noisyflywheel.exceptions import RowReadError

CPU = torch.device("cpu")
TWO = {"num_workers": 2}


@pytest.fixture(autouse=True, scope="module")
def _not_long_waited_for():
    """A worker that another one's death left waiting for a lock is ended after half a second, not five."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.5)
        yield
        gc.collect()  # such workers end with what read from them


class Squares(Dataset):
    """Rows (i, i * i); what ``at`` says is done before one of them is read."""

    def __init__(self, n=200, at=None, do=None):
        self.n, self.at, self.do = n, at, do
        self.paths = [f"pictures/{i:04}.png" for i in range(n)]

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i == self.at:
            self.do()
        return torch.tensor([i, i * i], dtype=torch.float32), i % 2


def parts(n=200, size=70):
    return list(torch.randperm(n, generator=torch.Generator().manual_seed(3)).split(size))


def read(dataset, n_workers, rows=None):
    source = DatasetSource(dataset, CPU, {"num_workers": n_workers})
    try:
        return list(source.stream(parts(len(dataset)) if rows is None else rows))
    finally:
        source.close()


@pytest.mark.parametrize("n_workers", [0, 1, 2])
def test_rows_come_back_under_their_index(n_workers):
    for rows, found in zip(parts(), read(Squares(), n_workers), strict=True):
        torch.testing.assert_close(found, torch.stack([rows, rows**2], 1).float())


class Late(Squares):
    """The first piece takes longer than all others together."""

    def __getitem__(self, i):
        if i == 0:
            torch.arange(3_000_000).sort(descending=True)
        return super().__getitem__(i)


def test_rows_keep_their_order_whichever_worker_is_done_first():
    rows = list(torch.arange(200).split(20))
    assert torch.cat(read(Late(), 2, rows))[:, 0].tolist() == list(range(200))


def test_workers_stay_from_one_pass_to_the_next():
    source = DatasetSource(Pids(), CPU, {"num_workers": 2})
    first, second = (torch.cat(list(source.stream(parts()))).unique() for _ in range(2))
    source.close()
    assert torch.equal(first, second) and len(first) == 2 and os.getpid() not in first.tolist()


class Pids(Squares):
    def __getitem__(self, i):
        return torch.tensor([os.getpid()])


def test_a_pass_that_is_left_early_does_not_disturb_the_next():
    source = DatasetSource(Squares(), CPU, {"num_workers": 2})
    stream = source.stream(parts())
    next(stream)
    with_another_open = torch.cat(list(source.stream(parts())))  # read in this process
    stream.close()
    again = torch.cat(list(source.stream(parts())))
    source.close()
    assert torch.equal(with_another_open, again) and torch.equal(again[:, 0].long(), torch.cat(parts()))


def fail():
    raise OSError("no such disk")


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_row_that_cannot_be_read_is_named_with_its_file(n_workers):
    message = r"row 130 of X \(pictures/0130.png\) cannot be read: OSError: no such disk"
    with pytest.raises(RowReadError, match=message) as caught:
        read(Squares(at=130, do=fail), n_workers)
    assert (caught.value.row, caught.value.file) == (130, "pictures/0130.png")


def test_a_failed_worker_leaves_its_traceback():
    with pytest.raises(RowReadError) as caught:
        read(Squares(at=130, do=fail), 1)
    assert "in fail" in caught.value.__notes__[0]


@pytest.mark.parametrize("persistent", [True, False])
def test_workers_end_with_the_pass_that_failed_also_while_its_error_is_held(persistent):
    before = set(multiprocessing.active_children())
    source = DatasetSource(Squares(at=130, do=fail), CPU, {"num_workers": 2, "persistent_workers": persistent})
    with pytest.raises(RowReadError) as held:  # as a notebook holds it
        list(source.stream(parts()))
    assert not set(multiprocessing.active_children()) - before and held.value.row == 130


def die():
    os.kill(os.getpid(), signal.SIGKILL)


DIED = r"row 130 of X \(pictures/0130.png\) cannot be read: the worker reading it died"


def test_a_worker_that_dies_names_the_row_it_was_reading():
    with pytest.raises(RowReadError, match=DIED):
        read(Squares(at=130, do=die), 2)


def test_a_worker_that_dies_while_this_process_is_busy_names_the_row_it_was_reading():
    with pytest.raises(RowReadError, match=DIED), opened(DatasetSource(Squares(at=130, do=die), CPU, TWO)) as source:
        for _ in source.stream(parts()):
            time.sleep(0.2)


@pytest.mark.parametrize(
    "error", [EOFError(), FileNotFoundError(2, "no such file"), ConnectionResetError(104, "reset")]
)
def test_a_worker_whose_connection_ends_before_it_does_names_the_row_it_was_reading(error):
    with opened(DatasetSource(Squares(), CPU, TWO)) as source:
        list(source.stream(parts()))
        worker = source.workers.iterator._workers[0]
        source.workers.busy[0] = torch.tensor([worker.pid, 130])
        with contextlib.suppress(RuntimeError):  # of torch, by a signal
            worker.kill()
            worker.join()
        assert re.match(DIED, str(source.of_dead_worker(error)))


def test_errors_that_are_not_about_workers_stay():
    with pytest.raises(FileNotFoundError), opened(DatasetSource(Squares(), CPU, TWO)) as source:
        list(source.stream(parts()))
        raise FileNotFoundError


@pytest.mark.parametrize("n_workers", [0, 1])
@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([torch.zeros(3)] * 99 + [torch.zeros(4)], ValueError, r"item 99 of the Dataset has shape \(4,\)"),
        (
            [torch.zeros(3, 3)] * 99 + [torch.zeros(3, 3).byte()],
            ValueError,
            "item 99 of the Dataset has torch.uint8 pix",
        ),
        ([torch.zeros(3)] * 99 + [torch.full((3,), torch.nan)], ValueError, "item 99 of the Dataset holds NaN"),
        (["text"] * 100, TypeError, "an item of the Dataset is no array"),
        (
            [np.zeros(3)] * 99 + [np.full(3, 1e39)],
            ValueError,
            "item 99 of the Dataset holds a number too large for float",
        ),
        ([torch.zeros(3)] * 99 + [torch.zeros(3).cfloat()], TypeError, r"holds complex numbers \(item 99\)"),
        (
            [torch.zeros(3)] * 99 + [torch.zeros(3).to_sparse()],
            TypeError,
            r"is a sparse tensor \(item 99\): .*to_dense",
        ),
        ([torch.zeros(3)] * 99 + [None], TypeError, r"no array or tensor of numbers but NoneType \(item 99\)"),
    ],
)
def test_items_are_checked_by_whoever_reads_them(items, error, message, n_workers):
    with pytest.raises(error, match=message):
        read(Items(items), n_workers, [torch.arange(100)])


@pytest.mark.parametrize("n_workers", [0, 1])
@pytest.mark.parametrize("other", [np.array([1.5, 0.1]), np.array([1.5, 0.1], np.float32), torch.tensor([0.5, 2])])
def test_items_of_several_types_are_of_the_one_that_holds_all(other, n_workers):
    """A worker made whole numbers of the first item the type of all, which others cannot become."""
    items = [np.array([1, 2]), other, np.array([True, False]), np.array([3, 4], np.uint8)]
    (found,) = read(Items(items * 25), n_workers, [torch.arange(100)])
    expected = torch.tensor([[1, 2], [float(x) for x in other], [1, 0], [3, 4]], dtype=torch.float64)
    assert torch.equal(found, expected.float().repeat(25, 1))


class Drawn(Squares):
    """Rows of three random numbers, from each of the global generators."""

    def __getitem__(self, i):
        return torch.tensor([float(torch.rand(())), np.random.rand(), random.random()])  # noqa: NPY002


def test_rows_that_draw_at_random_are_the_same_for_any_number_of_workers_and_leave_the_generators():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    found = [torch.cat(read(Drawn(), n)) for n in (0, 1, 2)]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2]) and len(found[0].unique()) > 500
    assert torch.equal(states[0], torch.get_rng_state()) and states[2] == random.getstate()
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002


class DrawnInPart(Squares):
    """Some rows draw, and not the first ones that are read."""

    def __getitem__(self, i):
        return torch.tensor([float(i), np.random.rand() if i % 7 == 3 else 0.0])  # noqa: NPY002


@pytest.mark.parametrize("n_workers", [0, 1, 2])
def test_rows_of_which_few_draw_at_random_are_the_same_each_time_and_leave_the_generators(n_workers):
    """The first row decided for all: the others came in other versions each time, and moved the caller's generators."""
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    rows = list(torch.arange(200).split(20))
    found = torch.cat(read(DrawnInPart(), n_workers, rows))
    one_by_one = torch.stack(map_items(as_row, DrawnInPart(), range(200)))
    assert torch.equal(found, one_by_one) and len(found[3::7, 1].unique()) == 29 == int((found[:, 1] > 0).sum())
    assert (state == np.random.get_state()[1]).all()  # noqa: NPY002


def test_a_row_that_fails_by_chance_fails_each_time():
    def fail_by_chance():
        if np.random.rand() < 0.5:  # noqa: NPY002
            raise OSError("no such disk")

    messages = set()
    for seed in range(8):
        np.random.seed(seed)  # noqa: NPY002
        with contextlib.suppress(RowReadError):
            read(Squares(at=130, do=fail_by_chance), 0)
            messages.add("read")
    assert len(messages) == bool(messages)  # with the seed of its number it fails, or it does not
    seed_globals(130)
    assert bool(messages) == (np.random.rand() >= 0.5)  # noqa: NPY002


@pytest.mark.parametrize("n_workers", [0, 2])
def test_some_rows_are_read_under_their_numbers_in_the_whole(n_workers):
    """They were seeded, and named in errors, by their places among the chosen ones."""
    numbers = [7, 150, 150, 3]
    source = DatasetSource(SomeRows(Drawn(), numbers), CPU, {"num_workers": n_workers})
    with opened(source):
        (found,) = source.stream([torch.tensor([1, 0, 2])])
        assert len(source) == 4
        assert torch.equal(found, source.take(torch.tensor([1, 0, 2])))
    assert torch.equal(found, torch.stack(map_items(as_row, Drawn(), [150, 7, 150])))


@pytest.mark.parametrize(
    ("do", "message", "n_workers"),
    [(fail, r"row 130 of X \(pictures/0130.png\) cannot be read: OSError", n) for n in (0, 2)] + [(die, DIED, 2)],
)
def test_a_row_among_some_is_named_by_its_number_in_the_whole(do, message, n_workers):
    dataset = SomeRows(Squares(at=130, do=do), [*range(60), 130])
    with pytest.raises(RowReadError, match=message):
        read(dataset, n_workers, [torch.arange(61)])
    items = SomeRows(Items([torch.zeros(3)] * 99 + [torch.zeros(4)]), [0, 99])
    with pytest.raises(ValueError, match=r"item 99 of the Dataset has shape \(4,\), item 0 has"):
        read(items, n_workers, [torch.arange(2)])


def test_items_read_one_by_one_are_the_same_and_leave_the_generators():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    found = torch.stack(map_items(as_row, Drawn(), [3, 0]))
    assert torch.equal(found, read(Drawn(), 0, [torch.tensor([3, 0])])[0])
    assert torch.equal(states[0], torch.get_rng_state()) and states[2] == random.getstate()
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    with pytest.raises(RowReadError, match="row 7 of X"):
        map_items(as_row, Squares(at=7, do=fail), [7])


class Batched(Squares):
    def __getitems__(self, rows):
        return [super(Batched, self).__getitem__(i) for i in rows]

    def __getitem__(self, i):
        raise AssertionError("items are read in batches")


def test_a_dataset_that_reads_many_at_once_is_asked_for_many():
    rows = torch.cat(parts())
    assert torch.equal(torch.cat(read(Batched(), 0))[:, 0].long(), rows)


def test_a_batch_that_fails_is_read_row_by_row():
    with pytest.raises(RowReadError, match="row 7 of X"):
        read(Subset(Squares(at=7, do=fail), range(200)), 0)


@pytest.fixture
def two_workers(monkeypatch):
    monkeypatch.setattr("noisyflywheel.data.sources.n_workers_here", lambda row_bytes: 2)
    return monkeypatch


def started(monkeypatch, per_row, in_all, dataset=None, options=None):
    monkeypatch.setattr("noisyflywheel.data.sources.PAYS_PER_ROW", per_row)
    monkeypatch.setattr("noisyflywheel.data.sources.PAYS_IN_ALL", in_all)
    monkeypatch.setattr("noisyflywheel.data.sources.PROBE_SECONDS", 0.0)
    source = DatasetSource(dataset or Squares(), CPU, options)
    list(source.stream(parts()))
    try:
        return source.workers is not None
    finally:
        source.close()


def test_workers_start_unasked_where_rows_take_long_and_are_many(two_workers):
    assert started(two_workers, 0.0, 0.0)
    assert not started(two_workers, 0.0, 1e9)
    assert not started(two_workers, 1e9, 0.0)
    assert not started(two_workers, 0.0, 0.0, options={"num_workers": 0})
    assert started(two_workers, 1e9, 1e9, options={"num_workers": 1})


def test_short_passes_add_up(two_workers):
    two_workers.setattr("noisyflywheel.data.sources.PAYS_PER_ROW", 0.0)
    source = DatasetSource(Squares(), CPU)
    list(source.stream([torch.arange(4)]))
    assert source.workers is None
    source.seconds = 2.0  # as after many such passes
    assert source.rows_read == 5
    list(source.stream([torch.arange(4)]))
    assert source.workers is not None
    source.close()
    assert source.workers is None


def test_tiny_datasets_have_no_workers(two_workers):
    ticks = iter(range(10**6))
    two_workers.setattr("noisyflywheel.data.sources.time.perf_counter", lambda: next(ticks) * 2e-3)  # 64 rows: 2 ms
    source = DatasetSource(TensorDataset(torch.zeros(5000, 4)), CPU)
    list(source.stream(torch.arange(5000).split(500)))
    assert source.workers is None and source.seconds > 0.15


def test_no_workers_unasked_in_a_worker_with_one_core_or_where_processes_are_not_forked(monkeypatch):
    monkeypatch.setattr(workers.joblib, "cpu_count", lambda: 16)
    monkeypatch.setattr(workers.multiprocessing, "get_start_method", lambda: "fork")
    monkeypatch.setattr(workers.os.path, "isdir", lambda path: False)
    assert n_workers_here(1) == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert n_workers_here(1) == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert n_workers_here(1) == 0
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    for name, value in (("get_start_method", "spawn"), ("parent_process", "a parent")):
        with monkeypatch.context() as patch:
            patch.setattr(workers.multiprocessing, name, lambda value=value: value)
            assert n_workers_here(1) == 0
    monkeypatch.setattr(workers.os.path, "isdir", lambda path: True)
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2**20}))
    assert n_workers_here(1) == 0


def test_pieces_are_short_in_rows_and_bytes():
    assert [len(piece) for piece in pieces_of(torch.arange(150), 10)] == [64, 64, 22]
    assert [len(piece) for piece in pieces_of(torch.arange(5), 2**21)] == [2, 2, 1]
    assert [len(piece) for piece in pieces_of(torch.arange(2), 2**30)] == [1, 1]


def test_files_are_found_through_subsets():
    folder = Items([0] * 4)
    folder.samples = [(f"{i}.jpg", 0) for i in range(4)]
    assert file_of(Subset(Subset(folder, [3, 2, 1]), [2, 0]), 0) == "1.jpg"
    assert file_of(folder, 9) is None and file_of(Items([0]), 0) is None
