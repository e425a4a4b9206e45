"""Errors and warnings that are this library's own."""

from __future__ import annotations

import os

ADVICE = "lower the learning rate or cr_weight, lengthen cr_ramp, or look for extreme values in X."


class DivergenceError(FloatingPointError):
    """A loss became NaN or infinite; the fit stopped, nothing was fitted."""


class FlywheelWarning(UserWarning):
    """The loop replaces labels by worse guesses, or its result should be looked at before it is used."""


class CheckpointError(Exception):
    """A checkpoint or saved estimator cannot be written or read.

    Parameters
    ----------
    path : str or path-like
        The file or directory.
    reason : str
        What is wrong with it and, where there is a way, what to do.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(str(path), reason)
        self.path, self.reason = str(path), reason

    def __str__(self) -> str:
        """Path and reason."""
        return f"{self.path}: {self.reason}"


class RowReadError(ValueError):
    """A row of X cannot be read.

    Parameters
    ----------
    row : int
        Its position in X.
    file : str or None
        Where it is read from, where that is known.
    reason : str
    """

    def __init__(self, row: int, file: str | None, reason: str) -> None:
        super().__init__(row, file, reason)
        self.row, self.file, self.reason = row, file, reason

    def __str__(self) -> str:
        """Row, file and reason."""
        return f"row {self.row} of X" + f" ({self.file})" * (self.file is not None) + f" cannot be read: {self.reason}"


class RanksError(RuntimeError):
    """Another process of a fit on several ended, or did not come in time.

    Parameters
    ----------
    step : str
        What this process waited in.
    rank, size : int
        This process, and how many there are.
    reason : str
        What torch.distributed said.
    """

    def __init__(self, step: str, rank: int, size: int, reason: str) -> None:
        super().__init__(step, rank, size, reason)
        self.step, self.rank, self.size, self.reason = step, rank, size, reason

    def __str__(self) -> str:
        """Which step, and where to look."""
        return (
            f"rank {self.rank} of {self.size} waited in vain for another rank in {self.step}: that one has ended, or "
            f"hangs. Look at its message; this one says only: {self.reason}"
        )
