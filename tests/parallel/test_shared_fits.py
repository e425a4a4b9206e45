"""Fits shared by two processes: both end alike to the last bit, and as one process does."""

import os
from pathlib import Path

import numpy as np
import pytest
import shared_fits
import torch
import torch.distributed as dist
from launching import torchrun
from shared_fits import EQUAL

pytestmark = pytest.mark.processes

SCRIPT = Path(shared_fits.__file__)


def left(folder, name, rank=0):
    with np.load(folder / f"{name}.{rank}.npz") as found:
        return dict(found)


def assert_close(found, expected, atol):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=atol, equal_nan=True, err_msg=name)


@pytest.mark.parametrize("name", [*EQUAL, "resumed", "any_seed", "dataset"])
def test_both_ranks_end_alike(folder, name):
    assert_close(left(folder, name, 1), left(folder, name, 0), atol=0)


@pytest.mark.parametrize("name", EQUAL)
def test_two_processes_end_as_one(folder, name):
    assert_close(left(folder, name), shared_fits.CASES[name](), atol=1e-4)


def test_ranks_begin_again_with_folds(folder):
    assert left(folder, "begun_again")["n_folds"] == 5 and left(folder, "digits")["n_folds"] == 1


def test_ranks_that_read_their_own_rows_learn_as_much(folder):
    shared, alone = left(folder, "dataset")["accuracy"], shared_fits.of_dataset()["accuracy"]
    assert min(shared, alone) > 0.85 and abs(shared - alone) < 0.05  # other views and pairs for MixUp


def test_ranks_go_on_from_their_checkpoint_bit_by_bit(folder):
    assert_close(left(folder, "resumed"), left(folder, "whole"), atol=0)


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_with_dropout_go_on_bit_by_bit(folder, rank):
    found = left(folder, "dropped", rank)
    assert (found["proba"] == found["whole"]).all()


def test_one_process_goes_on_from_the_checkpoint_of_two(folder):
    assert_close(shared_fits.checkpointed(folder / "for_others"), left(folder, "whole"), atol=1e-4)


@pytest.mark.slow
def test_four_ranks_go_on_from_the_checkpoint_of_two(tmp_path):
    torchrun(SCRIPT, tmp_path, "interrupted")
    torchrun(SCRIPT, tmp_path, "resumed", n_ranks=4)
    for rank in range(4):
        assert_close(left(tmp_path, "resumed", rank), shared_fits.CASES["whole"](), atol=1e-4)


@pytest.mark.slow
def test_all_digits(tmp_path):
    torchrun(SCRIPT, tmp_path, "full", "fifty", timeout=1800)
    assert_close(left(tmp_path, "full"), shared_fits.CASES["full"](), atol=1e-4)
    assert abs(left(tmp_path, "fifty")["accuracy"] - shared_fits.fifty()["accuracy"]) <= 0.005


def spawned(rank, folder):
    os.environ["RANK"] = str(rank)
    settings = {"init_method": f"file://{folder}/meeting", "rank": rank, "world_size": 2}
    dist.init_process_group("gloo", **settings)
    shared_fits.main(folder, "norms")
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_that_initialise_torch_distributed_share_a_fit(tmp_path):
    torch.multiprocessing.spawn(spawned, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        assert_close(left(tmp_path, "norms", rank), shared_fits.CASES["norms"](), atol=1e-4)
