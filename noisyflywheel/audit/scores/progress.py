"""How far the fits of an audit are: a bar on a terminal or in a notebook, lines of text elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

from noisyflywheel.audit.scores.learners import last_step
from noisyflywheel.loop.watch.progress import has_bar

SECONDS = 10.0
"""Between two lines of text."""


class FitsProgress:
    """Callback for ``FlywheelClassifier(on_cycle=...)`` that counts the cycles of one or more fits.

    Copies of it, as `clone` makes them, are the same object: all fits are counted together.

    Parameters
    ----------
    n_fits : int
    show : bool or None, default None
        Whether there is a bar; None shows one on a terminal and in a notebook. Without a bar a line is written every
        ten seconds.
    file : text stream, optional
        Default `sys.stderr`.
    """

    def __init__(self, n_fits: int, show: bool | None = None, file: Any = None) -> None:
        self.n_fits, self.file = n_fits, sys.stderr if file is None else file
        self.bar = tqdm(
            total=0,
            desc="training",
            unit="cycle",
            file=self.file,
            disable=not (has_bar(self.file) if show is None else show),
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} cycles, {remaining} left{postfix}",
        )
        self.further = 0  # cycles of rounds after the first
        self.n, self.start, self.last = 0, time.monotonic(), time.monotonic()

    def __call__(self, flywheel: Any, row: dict[str, float]) -> None:
        """One cycle of one fit is done."""
        n_cycles = flywheel.settings.n_cycles
        self.further += flywheel.n_rounds > 1
        total = self.n_fits * n_cycles + self.further
        self.n = min(self.n + 1, total)
        if self.bar.disable:
            self._say(total)
            return
        self.bar.total = total
        fit = min(1 + (self.n - self.further) // n_cycles, self.n_fits)
        self.bar.set_postfix_str(f"fit {fit} of {self.n_fits}", refresh=False)
        self.bar.update(self.n - self.bar.n)

    def _say(self, total: int) -> None:
        """A line, not too often."""
        now = time.monotonic()
        if now - self.last >= SECONDS:
            self.last = now
            left = (now - self.start) / self.n * (total - self.n)
            print(f"training: {self.n} of {total} cycles, about {duration(left)} left", file=self.file, flush=True)

    def __enter__(self) -> FitsProgress:
        """Count from here."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it is."""
        self.bar.close()

    def __copy__(self) -> FitsProgress:
        """The same."""
        return self

    def __deepcopy__(self, memo: Any) -> FitsProgress:
        """The same."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process nothing is counted."""
        return Uncounted, ()


class Uncounted:
    """What `FitsProgress` is in another process."""

    def __call__(self, flywheel: Any, row: dict[str, float]) -> None:
        """Nothing."""


@contextlib.contextmanager
def counted(estimator: Any, n_fits: int, show: bool | None = None) -> Iterator[None]:
    """Show the cycles of a `FlywheelClassifier`, alone or in a pipeline, unless it has its own ``on_cycle``."""
    last = last_step(estimator)
    if not hasattr(last, "on_cycle") or last.on_cycle is not None:
        yield
        return
    with FitsProgress(n_fits, show) as progress:
        last.set_params(on_cycle=progress)
        try:
            yield
        finally:
            last.set_params(on_cycle=None)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
