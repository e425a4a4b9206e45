"""What goes wrong on one rank ends all, each with one clear error; and the next fit of the same processes works."""

import json

import pytest

pytestmark = pytest.mark.processes


@pytest.fixture
def said(folder):
    """For each rank and case: type and text of the error, and seconds."""
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("different_rows", "X"),
        ("different_labels", "y"),
        ("different_cycles", "n_cycles"),
        ("different_views", "views"),
    ],
)
def test_every_rank_says_what_differs(said, case, name):
    for rank in range(2):
        kind, text, _ = said[rank][case]
        assert kind == "ValueError" and text.startswith(f"{name} on rank 1 is not that on rank 0")


def test_every_rank_says_whose_callbacks_differ(said):
    for rank in range(2):
        kind, text, _ = said[rank]["different_schedules"]
        assert kind == "ValueError" and text.startswith("aux_net on rank 1 has other learning rates")


ERRORS = {
    "wrong_parameter": ("ValueError", "n_cycles must be"),
    "error_in_cycle": ("LookupError", "mine"),
    "error_in_net": ("OverflowError", "mine"),
    "ctrl_c": ("KeyboardInterrupt", ""),
    "skipped_layer": ("RuntimeError", "left some of its weights out of a training step"),
    "torn_row": ("RowReadError", "the disk is gone"),
    "no_folder": ("CheckpointError", "file"),
    "no_checkpoint": ("CheckpointError", "the disk is full"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_of_one_rank_ends_the_other_at_once(said, case):
    fails = 0 if "folder" in case or "checkpoint" in case else 1
    (kind, text, _), (other, told, seconds) = said[fails][case], said[1 - fails][case]
    assert kind == ERRORS[case][0] and ERRORS[case][1] in text
    assert other == "RanksError" and f"rank {1 - fails} of 2 waited in vain for another rank in" in told
    assert seconds < 50  # the time limit is 300


def test_a_rank_that_dies_ends_the_other(said):
    assert "dead" not in said[1]
    kind, text, seconds = said[0]["dead"]
    assert kind == "RanksError" and "Look at its message" in text and seconds < 50


@pytest.mark.parametrize("case", ["stopped", "stopped_before_an_epoch"])
def test_a_callback_that_stops_one_rank_stops_both_alike(said, case):
    assert said[0][case][:2] == said[1][case][:2]
    assert said[0][case][1].startswith("2 cycles")  # of four


def test_after_failures_the_next_fit_works(said):
    assert [said[rank]["fine"][0] for rank in range(2)] == ["", ""]
