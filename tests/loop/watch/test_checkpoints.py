"""When a checkpoint is written, what it must belong to, and what happens if it cannot be written or used."""

import time
from types import SimpleNamespace

import pytest
import torch
from tables import numbered

from noisyflywheel.exceptions import CheckpointError, FlywheelWarning, RanksError
from noisyflywheel.loop.watch import checkpoints as module
from noisyflywheel.loop.watch.checkpoints import FitCheckpoints, fit_checkpoints
from noisyflywheel.persistence import fit_key, save_checkpoint

STATE = {"phase": "cycles", "q": torch.tensor([0.5, 0.25])}
MINE = {"data": "d", "parameters": "p"}


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.seconds)
    return now


def found(folder, fingerprints=MINE):
    with FitCheckpoints(folder, fingerprints).trusting() as state:
        return state


def test_what_was_saved_last_is_found(tmp_path):
    kept = FitCheckpoints(tmp_path, MINE)
    assert found(tmp_path) is None
    kept.save({"phase": "warm-up"})
    kept.save(STATE)
    state = found(tmp_path)
    assert state["phase"] == "cycles" and torch.equal(state["q"], STATE["q"])


def test_without_a_folder_nothing_happens():
    kept = FitCheckpoints()
    kept.save(STATE)
    assert not kept.due() and not kept.written and kept.fingerprints == {}
    with kept.trusting() as state:
        assert state is None


def test_a_checkpoint_is_read_once(tmp_path):
    FitCheckpoints(tmp_path, MINE).save(STATE)
    kept = FitCheckpoints(tmp_path, MINE)
    with kept.trusting() as first, kept.trusting() as second:
        assert first is second is not None
    kept.save(STATE)
    with kept.trusting() as third:
        assert third is None  # its memory is free, and it is not read again


def test_checkpoints_take_three_hundredths_of_the_time_at_most(tmp_path, clock, monkeypatch):
    kept = FitCheckpoints(tmp_path, MINE)
    assert kept.due() and not kept.due(1.0)
    clock.seconds = 101.0
    assert kept.due(1.0) and not kept.due(1.5)

    def slow(folder, state):
        clock.seconds += 3.0

    monkeypatch.setattr(module, "save_checkpoint", slow)
    kept.save(STATE)  # ends at 104
    for seconds, due in [(104.0, False), (203.9, False), (204.1, True)]:
        clock.seconds = seconds
        assert kept.due() is due
    clock.seconds = 210.0
    assert kept.due(106.0) and not kept.due(107.0)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"data": "x", "parameters": "p"}, "belongs to a fit with other data: use another checkpoint_dir"),
        ({"data": "d", "parameters": "x"}, "belongs to a fit with other parameters: use"),
        ({"data": "x", "parameters": "x"}, "belongs to a fit with other data and parameters: use"),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused(tmp_path, others, message):
    FitCheckpoints(tmp_path, others).save(STATE)
    with pytest.raises(CheckpointError, match=message):
        found(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "estimator", "fingerprints": MINE, "state": STATE},
        {"kind": "fit", "fingerprints": MINE},
        {"fingerprints": MINE, "state": STATE},
    ],
)
def test_something_else_in_the_folder_is_refused(tmp_path, content):
    save_checkpoint(tmp_path, content)
    with pytest.raises(CheckpointError, match="holds no checkpoint of a fit"):
        found(tmp_path)


def test_a_checkpoint_without_fingerprints_is_refused(tmp_path):
    save_checkpoint(tmp_path, {"kind": "fit", "state": STATE})
    with pytest.raises(CheckpointError, match="other data and parameters"):
        found(tmp_path)


def test_a_damaged_checkpoint_is_refused_with_advice(tmp_path):
    FitCheckpoints(tmp_path, MINE).save(STATE)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.stat().st_size > 200:
            path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    with pytest.raises(CheckpointError, match="Remove the folder .* to start this fit anew"):
        found(tmp_path)


@pytest.mark.parametrize("error", [KeyError, TypeError, ValueError, RuntimeError, AttributeError])
def test_what_fails_in_the_use_of_a_checkpoint_is_its_fault(tmp_path, error):
    FitCheckpoints(tmp_path, MINE).save(STATE)
    kept = FitCheckpoints(tmp_path, MINE)
    with pytest.raises(CheckpointError, match=r"does not belong to this fit \(.*why") as caught, kept.trusting():
        raise error("why")
    assert str(tmp_path) in str(caught.value) and isinstance(caught.value.__cause__, error)
    with pytest.raises(error, match="why"), FitCheckpoints().trusting():  # nobody's fault but ours
        raise error("why")


def test_a_rank_that_ended_is_not_the_checkpoints_fault(tmp_path):
    FitCheckpoints(tmp_path, MINE).save(STATE)
    with pytest.raises(RanksError), FitCheckpoints(tmp_path, MINE).trusting():
        raise RanksError("a sum over ranks", 0, 2, "connection closed")


def test_ranks_go_on_from_what_the_first_one_found(tmp_path):
    ranks, told = numbered(1, 2), []
    ranks.of_first = lambda make, what: told.append(what) or STATE
    with fit_checkpoints(params(tmp_path), lambda: "data", [1], ranks=ranks) as kept:
        assert kept.folder is None and not kept.due()
        with kept.trusting() as state:
            assert state is STATE
    assert told == ["reading a checkpoint"]
    with fit_checkpoints(params(None), lambda: "data", [1], ranks=ranks) as kept, kept.trusting() as state:
        assert state is STATE
    first = numbered(0, 2)
    with fit_checkpoints(params(tmp_path), lambda: "data", [1], ranks=first) as kept:
        assert kept.folder is not None and kept.ranks is first


def test_the_first_checkpoint_is_due_at_once(tmp_path, clock):
    clock.seconds = 0.0
    assert FitCheckpoints(tmp_path).due()


def refuse(folder, state):
    raise CheckpointError(folder, "the disk is full")


def test_a_first_checkpoint_that_cannot_be_written_is_an_error_and_a_later_one_a_warning(tmp_path, monkeypatch):
    kept = FitCheckpoints(tmp_path, MINE)
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_checkpoint", refuse)
        with pytest.raises(CheckpointError, match="the disk is full"):
            kept.save(STATE)
    kept.save(STATE)
    again = FitCheckpoints(tmp_path, MINE)
    with again.trusting():
        pass
    monkeypatch.setattr(module, "save_checkpoint", refuse)
    for one in (kept, again):
        with pytest.warns(FlywheelWarning, match="No checkpoint was written .*the disk is full.*the fit goes on"):
            one.save({"phase": "lost"})
    assert found(tmp_path)["phase"] == "cycles"


def params(checkpoint_dir, random_state=0, **others):
    return {"checkpoint_dir": checkpoint_dir, "random_state": random_state} | others


def folder_of(*args, data="data", seeds=(1, 2, 3), before=0, **kwargs):
    with fit_checkpoints(params(*args, **kwargs), lambda: data, list(seeds), before) as kept:
        return kept.folder


def test_data_and_parameters_decide_the_folder(tmp_path):
    folder = folder_of(tmp_path)
    assert folder == folder_of(tmp_path) and folder.parent == tmp_path
    others = [
        folder_of(tmp_path, data="others"),
        folder_of(tmp_path, seeds=(1, 2, 4)),
        folder_of(tmp_path, n_cycles=3),
        folder_of(tmp_path, before=2),
        folder_of(tmp_path, before=3),
    ]
    assert len({folder, *others}) == 6


def test_the_folders_name_comes_from_data_first(tmp_path):
    with fit_checkpoints(params(tmp_path), lambda: "data", [1, 2, 3], 4) as kept:
        assert fit_key("data", f"{kept.fingerprints['parameters']} 4").startswith(kept.folder.name)
    with fit_checkpoints(params(tmp_path), lambda: "data", [1, 2, 3]) as kept:
        assert fit_key("data", f"{kept.fingerprints['parameters']} 0").startswith(kept.folder.name)


def test_unseeded_fits_share_their_folder_and_warm_starts_have_their_own(tmp_path):
    first, second = (folder_of(tmp_path, random_state=None, seeds=seeds) for seeds in ((1, 2, 3), (4, 5, 6)))
    assert first == second
    assert first != folder_of(tmp_path, random_state=None, before=2)


def test_fingerprints_are_of_data_and_parameters(tmp_path):
    with fit_checkpoints(params(tmp_path), lambda: "data", [1, 2, 3]) as kept:
        assert kept.fingerprints["data"] == "data" and set(kept.fingerprints) == {"data", "parameters"}
        kept.save(STATE)
    with fit_checkpoints(params(tmp_path), lambda: "data", [1, 2, 3]) as again, again.trusting() as state:
        assert state["phase"] == "cycles"


def test_without_a_directory_no_fingerprint_is_made():
    def never():
        raise AssertionError("the data were read")

    with fit_checkpoints(params(None), never, []) as kept:
        assert kept.folder is None
