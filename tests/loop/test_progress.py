"""Bars by what they would show."""

import io

import pytest
from rich.console import Console

from noisyflywheel.loop import progress as module
from noisyflywheel.loop.progress import FitProgress


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 200 columns, as text."""
    stream = io.StringIO()
    made = Console(file=stream, force_terminal=True, width=200)
    monkeypatch.setattr(module, "Console", lambda stderr: made)
    return stream


def test_bars_count_epochs_and_cycles():
    progress = FitProgress(0, 7)
    warm_up, cycles = progress.bars.tasks
    assert (warm_up.description, cycles.description) == ("warm-up", "cycles")
    assert (warm_up.total, cycles.total) == (None, 7) and not cycles.started and warm_up.started
    progress.warm_up(3, 0.12345)
    assert warm_up.completed == 3 and warm_up.fields["note"] == "loss 0.123"
    progress.warm_up_done(4)
    assert (warm_up.total, warm_up.completed) == (4, 4) and cycles.started
    progress.skip(2)
    progress.cycle({"gamma": 0.71239, "auxiliary_loss": 1.5, "main_loss": -2.25})
    assert cycles.completed == 3
    assert cycles.fields["note"] == "gamma 0.712  f 1.500  g -2.250"


def test_a_verbose_fit_on_a_terminal_shows_them(terminal):
    with FitProgress(1, 7) as progress:
        assert progress.bars.live.is_started
        progress.warm_up(3, 0.12345)
        progress.warm_up_done(3)
        progress.cycle({"gamma": 0.71239, "auxiliary_loss": 1.5, "main_loss": -2.25})
    assert not progress.bars.live.is_started
    shown = terminal.getvalue()
    assert "warm-up" in shown and "cycles" in shown and "1/7" in shown and "gamma 0.712" in shown


@pytest.mark.parametrize("verbose", [0, 1])
def test_nothing_is_shown_without_a_terminal_or_if_not_verbose(verbose, terminal, monkeypatch):
    if verbose:
        monkeypatch.setattr(module, "Console", lambda stderr: Console(file=terminal, force_terminal=False))
    with FitProgress(verbose, 7) as progress:
        progress.warm_up(3, 0.12345)
    assert terminal.getvalue() == ""


def test_bars_are_written_to_the_standard_error(capsys):
    assert FitProgress(1, 7).bars.console.stderr
