"""A progress bar for long fits: gamma and losses, quiet where nobody is looking."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class FitProgress:
    """One bar for the warm-up and one for the cycles, shown if ``verbose`` and on a terminal.

    Parameters
    ----------
    verbose : int
        0 shows nothing.
    n_cycles : int
        Length of the second bar.
    """

    def __init__(self, verbose: int, n_cycles: int) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        quiet = not verbose or not console.is_terminal
        self.bars = Progress(*columns, console=console, disable=quiet)
        self.warm_up_bar = self.bars.add_task("warm-up", total=None, note="")
        self.cycle_bar = self.bars.add_task("cycles", total=n_cycles, note="", start=False)

    def __enter__(self) -> FitProgress:
        """Show the bars."""
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they are."""
        self.bars.stop()

    def warm_up(self, epoch: int, loss: float) -> None:
        """One warm-up epoch is done."""
        self.bars.update(self.warm_up_bar, completed=epoch, note=f"loss {loss:.3f}")

    def warm_up_done(self, epochs: int) -> None:
        """The warm-up is over after ``epochs`` epochs."""
        self.bars.update(self.warm_up_bar, total=epochs, completed=epochs)
        self.bars.start_task(self.cycle_bar)

    def skip(self, cycles: int) -> None:
        """Cycles that a checkpoint spared."""
        self.bars.update(self.cycle_bar, advance=cycles)

    def cycle(self, row: dict[str, float]) -> None:
        """One cycle is done; ``row`` is its row of the history."""
        note = f"gamma {row['gamma']:.3f}  f {row['auxiliary_loss']:.3f}  g {row['main_loss']:.3f}"
        self.bars.update(self.cycle_bar, advance=1, note=note)
