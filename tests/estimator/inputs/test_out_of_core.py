"""Rows beyond memory: a limit on the process's own memory that a copy of X would break."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("out_of_core_fit.py")
ROOT = SCRIPT.parents[2]
GB = 2**30

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is Linux's")


def sparse_map(path, dtype, n, d):
    """A memory map of zeros, of which only the first columns take room on the disk."""
    with open(path, "wb") as file:
        file.truncate(n * d * np.dtype(dtype).itemsize)
    x = np.memmap(path, dtype=dtype, mode="r+", shape=(n, d))
    x[:, :4] = np.random.default_rng(0).normal(0, 0.5, (n, 4)) + np.arange(n)[:, None] % 2 * 2 - 1
    x.flush()


def run(folder, dtype, n, d, limit=0, added=0):
    path = folder / "x.bin"
    sparse_map(path, dtype, n, d)
    command = [sys.executable, str(SCRIPT), str(path), dtype, *map(str, (n, d, limit, added))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the other ones reserve a gigabyte when they are imported
    environment["MALLOC_MMAP_THRESHOLD_"] = str(2**20)  # what is freed goes back at once, not into holes of the heap
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3000)


def succeeded(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_memory_map_is_not_loaded(tmp_path, dtype):
    n, megabytes = (1500, 200) if dtype == "float32" else (3000, 400)  # as float32 300 and 600 MB
    found = succeeded(run(tmp_path, dtype, n, 50_000, added=megabytes * 10**6))
    assert found["bytes"] >= 1.5 * megabytes * 10**6 and found["accuracy"] > 0.9
    assert not found["fits_in_memory"]  # the limit is one that loading breaks


@pytest.mark.slow
def test_20_gb_under_2_gb(tmp_path):
    found = succeeded(run(tmp_path, "float32", 20_000, 268_436, limit=2 * GB))
    assert found["bytes"] > 20 * GB and found["accuracy"] > 0.9
