"""Bars by what they show."""

import io
import sys
from types import SimpleNamespace

import pytest

from noisyflywheel.loop.watch.progress import FitProgress, has_bar, in_notebook

ROW = {"gamma": 0.71239, "auxiliary_loss": 1.5, "main_loss": -2.25}


class Terminal(io.StringIO):
    """A terminal as text."""

    def isatty(self):
        return True


def as_standard_error(stream, monkeypatch):
    """What is written to the standard error goes there (pytest sets `sys.stderr` itself, after fixtures)."""
    monkeypatch.setattr("noisyflywheel.loop.watch.progress.sys", SimpleNamespace(stderr=stream, modules=sys.modules))
    return stream


@pytest.fixture
def terminal(monkeypatch):
    return as_standard_error(Terminal(), monkeypatch)


def lines(stream):
    """What is left on the terminal: each line as it was written last."""
    return [line.split("\r")[-1].rstrip() for line in stream.getvalue().split("\n")]


def whole_run(progress):
    with progress:
        progress.warm_up(3, 0.5)
        progress.warm_up(4, 0.12345)
        progress.warm_up_done(4)
        progress.skip(2)
        progress.cycle(ROW)


def test_epochs_and_cycles_are_counted_also_where_nothing_is_shown():
    progress = FitProgress(0, 7)
    whole_run(progress)
    assert (progress.epochs_done, progress.cycles_done) == (4, 3)


def test_a_verbose_fit_on_a_terminal_shows_two_bars(terminal):
    whole_run(FitProgress(1, 7))
    warm_up, cycles, end = lines(terminal)
    assert warm_up == "warm-up: 4, loss 0.123" and end == ""
    assert cycles.startswith("cycles: |") and "| 3/7, " in cycles
    assert cycles.endswith(" left, gamma 0.712  f 1.500  g -2.250")


def test_cycles_that_the_guard_repeats_do_not_overflow(terminal):
    with FitProgress(1, 2) as progress:
        progress.skip(0)
        for _ in range(3):
            progress.cycle(ROW)
    assert "| 2/2, " in lines(terminal)[0]


def test_the_bar_is_closed_when_the_fit_fails(terminal):
    with pytest.raises(KeyboardInterrupt), FitProgress(1, 7) as progress:
        progress.warm_up(1, 0.5)
        raise KeyboardInterrupt
    assert terminal.getvalue().endswith("\n")


@pytest.mark.parametrize("verbose", [0, 1])
def test_nothing_is_shown_without_a_terminal_or_if_not_verbose(verbose, monkeypatch):
    stream = as_standard_error(io.StringIO() if verbose else Terminal(), monkeypatch)
    whole_run(FitProgress(verbose, 7))
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("config", "expected"), [({"IPKernelApp": {}}, True), ({"TerminalIPythonApp": {}}, False)])
def test_the_kernel_of_a_notebook_has_bars(config, expected, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(config=config)))
    assert in_notebook() is has_bar(io.StringIO()) is expected


def test_this_is_no_notebook():
    assert not in_notebook() and not has_bar(io.StringIO()) and has_bar(Terminal()) and not has_bar(object())


def test_counts_follow_while_nothing_is_shown():
    progress = FitProgress(0, 7)
    assert (progress.epochs_done, progress.cycles_done, progress.is_shown) == (0, 0, False)
    progress.warm_up(3, 0.5)
    assert progress.epochs_done == 3
    progress.warm_up_done(4)
    assert progress.epochs_done == 4
    progress.more(2)
    assert progress.n_cycles == 9


def test_a_second_round_makes_the_bar_longer(terminal):
    with FitProgress(1, 2) as progress:
        progress.more(1)  # before there is a bar
        progress.skip(0)
        progress.cycle(ROW)
        progress.more(4)
        progress.cycle(ROW)
    assert "| 2/7, " in lines(terminal)[0]


def test_spared_cycles_are_there_from_the_start(terminal):
    with FitProgress(1, 9) as progress:
        progress.skip(4)
        assert "| 4/9, " in lines(terminal)[0]


def test_a_bar_that_is_over_is_gone(terminal):
    progress = FitProgress(1, 2)
    progress.warm_up(1, 0.5)
    bar = progress._bar
    progress.warm_up_done(1)
    assert progress._bar is None and bar.disable  # a closed bar draws no more
