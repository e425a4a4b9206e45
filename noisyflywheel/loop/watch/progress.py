"""A progress bar for long fits: gamma and losses, quiet where nobody is looking."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

FORM = "{desc}: |{bar}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"
FORM_OF_NO_END = "{desc}: {n_fmt}{postfix}"
"""Of the bars; how long the warm-up is, is known at its end."""


class FitProgress:
    """One bar for the warm-up and one for the cycles, shown if ``verbose`` on a terminal and in a notebook.

    Parameters
    ----------
    verbose : int
        0 shows nothing.
    n_cycles : int
        Length of the second bar.
    """

    def __init__(self, verbose: int, n_cycles: int) -> None:
        self.n_cycles, self.epochs_done, self.cycles_done = n_cycles, 0, 0
        self.is_shown = bool(verbose) and has_bar(sys.stderr)
        self._bar: Any = None

    def __enter__(self) -> FitProgress:
        """The bars come with the first epoch and the first cycle."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they are."""
        self._close()

    def warm_up(self, epoch: int, loss: float) -> None:
        """One warm-up epoch is done."""
        self.epochs_done = epoch
        if self.is_shown and self._bar is None:
            self._bar = tqdm(desc="warm-up", bar_format=FORM_OF_NO_END, file=sys.stderr)
        self._show(epoch, f"loss {loss:.3f}")

    def warm_up_done(self, epochs: int) -> None:
        """The warm-up is over after ``epochs`` epochs."""
        self.epochs_done = epochs
        self._close()

    def skip(self, cycles: int) -> None:
        """The cycles begin; so many of them are spared by a checkpoint."""
        self.cycles_done += cycles
        if self.is_shown:
            self._bar = tqdm(desc="cycles", total=self.n_cycles, initial=cycles, bar_format=FORM, file=sys.stderr)

    def more(self, cycles: int) -> None:
        """So many cycles follow after all."""
        self.n_cycles += cycles
        if self._bar is not None:
            self._bar.total = self.n_cycles

    def cycle(self, row: dict[str, float]) -> None:
        """One cycle is done; ``row`` is its row of the history."""
        self.cycles_done += 1
        note = f"gamma {row['gamma']:.3f}  f {row['auxiliary_loss']:.3f}  g {row['main_loss']:.3f}"
        self._show(min(self.cycles_done, self.n_cycles), note)  # the guard may repeat some

    def _show(self, done: int, note: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def has_bar(file: Any) -> bool:
    """Whether a bar can be drawn: on a terminal, and in a notebook, as widgets or, without ipywidgets, as text."""
    return in_notebook() or bool(getattr(file, "isatty", lambda: False)())


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config
