"""The processes that share one fit, and what they tell each other."""

from __future__ import annotations

import contextlib
import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from noisyflywheel.exceptions import RanksError

BROKEN = (
    "gloo",
    "nccl",
    "connection closed",
    "connection reset",
    "timed out",
    "socket",
    "broken pipe",
    "process group",
)
"""What messages of collectives that fail have in common."""


class Ranks:
    """This process among those that share a fit; without a group it is alone, and nothing here does anything.

    Parameters
    ----------
    group : ProcessGroup, optional
        Of all ranks, made for one fit.

    Attributes
    ----------
    rank, size : int
        Number of this process, 0 .. size - 1, and how many there are.
    modules : dict
        What holds on to the group; forgotten when the fit is left.
    """

    def __init__(self, group: Any = None) -> None:
        self.group = group
        self.rank = 0 if group is None else dist.get_rank(group)
        self.size = 1 if group is None else dist.get_world_size(group)
        self.modules: dict[tuple[int, ...], nn.Module] = {}

    @property
    def alone(self) -> bool:
        """Whether there is nobody to share with."""
        return self.size == 1

    def sizes(self, n_rows: int) -> list[int]:
        """How many of ``n_rows`` consecutive rows each rank takes; they differ by 1 at most."""
        return [n_rows // self.size + (r < n_rows % self.size) for r in range(self.size)]

    def take(self, rows: Tensor) -> Tensor:
        """This rank's share of rows (B, ...); the first row where its share is empty, for a forward needs one."""
        share = rows.split(self.sizes(len(rows)))[self.rank]
        return share if len(share) else rows[:1]

    # ---- collectives

    def all_rows(self, rows: Tensor, sizes: list[int]) -> Tensor:
        """Rows (sum of sizes, ...) of all ranks, in their order, of which this one has ``rows``; no gradient."""
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        with self.watched("sharing rows"):
            dist.all_gather(parts, padded, group=self.group)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def sum_(self, values: Tensor) -> Tensor:
        """The sum over the ranks, in place."""
        with self.watched("a sum over ranks"):
            dist.all_reduce(values, group=self.group)
        return values

    def everyones(self, value: Any, what: str = "a decision") -> list[Any]:
        """A picklable value of each rank."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.size
        with self.watched(what):
            dist.all_gather_object(values, value, group=self.group)
        return values

    def of_first(self, make: Callable[[], Any], what: str = "a decision") -> Any:
        """What ``make`` returns on rank 0, where alone it is called."""
        value = [make() if self.rank == 0 else None]
        if not self.alone:
            with self.watched(what):
                dist.broadcast_object_list(value, group_src=0, group=self.group)
        return value[0]

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank."""
        return any(self.everyones(flag))

    def check_same(self, **parts: Any) -> None:
        """Raise ValueError on every rank if any of the parts, by name, differs between two ranks."""
        first, *others = self.everyones(parts, "comparing X, y and parameters")
        for rank, other in enumerate(others, 1):
            for name in first | other:
                if name not in first or name not in other or first[name] != other[name]:
                    raise ValueError(
                        f"{name} on rank {rank} is not that on rank 0: each rank of a fit on several processes gets "
                        f"the same X, y and parameters; distributed=False lets each of them fit on its own."
                    )

    # ---- the end

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """Errors of collectives inside become ours.

        Raises
        ------
        RanksError
            If another rank has ended, or does not come within the time limit.
        """
        try:
            yield
        except RanksError:
            raise
        except RuntimeError as error:
            if not (isinstance(error, dist.DistError) or any(sign in str(error).lower() for sign in BROKEN)):
                raise
            raise RanksError(what, self.rank, self.size, " ".join(str(error).split()).split(". ")[0]) from error

    def leave(self, error: BaseException | None = None) -> None:
        """End the group; this rank is alone from now on, and the others' next collective fails at once.

        A group of gloo closes its connections when nothing holds on to it any more, so ``error``, that of a fit that
        failed, must not do so either.
        """
        group, self.group = self.group, None
        self.rank, self.size = 0, 1
        self.modules.clear()
        if group is None:
            return
        if error is not None and torch.cuda.is_available():
            with contextlib.suppress(Exception):
                group.abort()
        with contextlib.suppress(Exception):
            dist.destroy_process_group(group)
        del group
        forget_frames(error)
        gc.collect()


def forget_frames(error: BaseException | None) -> None:
    """Let go of what the frames of torch in an exception's traceback hold; those of others stay for debuggers."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals.get("__name__", "").startswith("torch."):
                with contextlib.suppress(RuntimeError):  # one that still runs
                    frame.clear()
        error = error.__context__


ALONE = Ranks()
