"""Who takes part in a fit: found out from torch.distributed and from what launchers leave in the environment."""

from __future__ import annotations

import atexit
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.utils.data import get_worker_info

from noisyflywheel.nets.parallel.ranks import Ranks

TIMEOUT = 300.0
"""Seconds that a rank waits for the others in one step."""

LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun, accelerate and scripts for srun leave in the environment."""

_inherited: list[int] = []


def _note_fork() -> None:
    if dist.is_available() and dist.is_initialized():
        _inherited.append(os.getpid())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


@contextmanager
def joined(distributed: str | bool = "auto") -> Iterator[Ranks]:
    """The processes that share the fit inside; after an exception the others' next step fails at once.

    Parameters
    ----------
    distributed : "auto" or False
        False is this process alone.

    Raises
    ------
    RanksError
        If the others do not come.
    """
    if distributed is False or not (has_group() or is_launched()):
        yield Ranks()
        return
    ranks = _join()
    try:
        yield ranks
    except BaseException as error:
        ranks.leave(error)
        raise
    ranks.leave()


def has_group() -> bool:
    """Whether torch.distributed has been initialised, by this process itself, for more than one."""
    if not dist.is_available() or not dist.is_initialized() or os.getpid() in _inherited:
        return False
    return dist.get_world_size() > 1


def is_launched() -> bool:
    """Whether this process was started as one of several, and is none of their workers."""
    if not dist.is_available() or dist.is_initialized() or any(not os.environ.get(name) for name in LAUNCHED):
        return False
    is_worker = multiprocessing.parent_process() is not None or get_worker_info() is not None
    is_worker |= multiprocessing.current_process().name != "MainProcess"
    return int(os.environ["WORLD_SIZE"]) > 1 and not is_worker


def _join() -> Ranks:
    waits = timedelta(seconds=TIMEOUT)
    if torch.cuda.is_available():
        torch.cuda.set_device(cuda_index())
    with Ranks().watched("the meeting of the ranks"):
        if not dist.is_initialized():
            dist.init_process_group(_backend(), timeout=waits)
            atexit.register(_end)
        return Ranks(dist.new_group(backend=_backend(), timeout=waits))


def cuda_index() -> int:
    """The CUDA device of this rank: LOCAL_RANK, where launchers say it."""
    rank = os.environ.get("LOCAL_RANK") or (dist.get_rank() if dist.is_initialized() else os.environ["RANK"])
    return int(rank) % torch.cuda.device_count()


def _backend() -> str:
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"


def _end() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
