"""A run from warm-up to stop: the guard's second chance, checkpoints and what comes back, on tables of ten rows."""

import contextlib
import copy
import math
import warnings

import pytest
import torch
from tables import GIVEN, WEIGHTS, K, N, flywheel, logits_of, settings
from torch.testing import assert_close

from noisyflywheel.exceptions import DivergenceError, FlywheelWarning
from noisyflywheel.loop import run as module
from noisyflywheel.loop.run import FlywheelRun
from noisyflywheel.loop.watch import guard as guard_module
from noisyflywheel.loop.watch.checkpoints import FitCheckpoints
from noisyflywheel.loop.watch.progress import FitProgress


class Task:
    """Follows the cycles, and stops after ``stop_after`` of them."""

    def __init__(self, stop_after=99):
        self.begun, self.ended, self.stop_after = 0, [], stop_after

    def cycle_begin(self):
        self.begun += 1
        return f"cycle {self.begun}"

    def cycle_end(self, task):
        self.ended.append(task)
        return len(self.ended) >= self.stop_after


class Kept(FitCheckpoints):
    """Checkpoints in memory, due whenever ``when(seconds)`` says so."""

    def __init__(self, saved=None, when=lambda seconds: False):
        super().__init__()
        self.saved, self.when, self.all = saved, when, []

    @contextlib.contextmanager
    def trusting(self):
        yield self.saved

    def due(self, seconds=0.0):
        return self.when(seconds)

    def save(self, state):
        self.all.append(copy.deepcopy(state))  # as a file would be


def run(made=None, checkpoints=None, on_cycle=None, **changes):
    made = flywheel(**changes) if made is None else made
    return FlywheelRun(made, FitProgress(0, made.settings.n_cycles), checkpoints or Kept(), on_cycle)


def started(*args, **changes):
    made = run(*args, **changes)
    made.start()
    return made


def collapse(made, cycles, y_hat=0):
    """y^ is one class at the end of these cycles (from 1)."""
    original = made.flywheel._resample

    def resample(rows):
        original(rows)
        if made.flywheel.state.cycle + 1 in cycles:
            made.flywheel.state.y_hat[:] = y_hat

    made.flywheel._resample = resample


@pytest.fixture
def ten_rows_are_enough(monkeypatch):
    monkeypatch.setattr(guard_module, "LEAST_ROWS", 10)


# cycles


def test_every_cycle_leaves_a_row_and_tells_its_task():
    made, task = started(n_cycles=3), Task()
    made.run_cycles(task)
    assert [row["cycle"] for row in made.history] == [1, 2, 3]
    assert [row["undone"] for row in made.history] == [False] * 3
    assert task.ended == ["cycle 1", "cycle 2", "cycle 3"]
    assert made.n_cycles_done == 3 and made.progress.cycles_done == 3


def test_a_task_stops_the_run():
    made, task = started(n_cycles=9), Task(stop_after=2)
    made.run_cycles(task)
    assert made.stopped and len(made.history) == task.begun == 2
    assert len(made.checkpoints.all) == 1  # the end is written down
    made.run_cycles(task)
    assert task.begun == 2


def test_on_cycle_sees_each_row_and_joins_the_history():
    seen = []

    def on_cycle(wheel, row):
        seen.append((wheel, row["cycle"]))
        return {"twice": 2 * row["cycle"], "gamma": 0.5} if row["cycle"] == 1 else None

    made = started(on_cycle=on_cycle, n_cycles=2)
    made.run_cycles(Task())
    assert seen == [(made.flywheel, 1), (made.flywheel, 2)]
    assert made.history[0]["twice"] == 2 and made.history[0]["gamma"] == 0.5 and "twice" not in made.history[1]


def test_what_on_cycle_returns_is_looked_at_in_the_first_cycle():
    made = started(on_cycle=lambda wheel, row: {"eps": wheel.state.eps.mean()}, n_cycles=1)
    made.run_cycles(Task())
    assert made.history[0]["eps"] == float(made.flywheel.state.eps.mean())
    assert type(made.history[0]["eps"]) is float
    made = started(on_cycle=lambda wheel, row: {"eps": wheel.state.eps}, n_cycles=3)
    with pytest.raises(TypeError, match="on_cycle returned a Tensor under 'eps'"):
        made.run_cycles(Task())
    assert not made.history


class Recorder(list):
    """An `on_cycle` that is empty, and so false, until it was called."""

    def __call__(self, flywheel, row):
        self.append(row["cycle"])


def test_on_cycle_may_be_an_empty_list_that_keeps_what_it_sees():
    recorder = Recorder()
    started(on_cycle=recorder, n_cycles=2).run_cycles(Task())
    assert recorder == [1, 2]


def test_the_guard_goes_by_the_run_and_not_by_what_on_cycle_returns(ten_rows_are_enough):
    made = started(on_cycle=lambda wheel, row: {"gamma": 0.0}, n_cycles=3, cr_ramp=0)
    made.guard.references = [torch.full((K,), 1 / K).double()] * 2
    collapse(made, {1, 2, 3}, torch.arange(N) % K)
    made.run_cycles(Task())
    assert [row["undone"] for row in made.history] == [False] * 3
    assert [row["gamma"] for row in made.history] == [0.0] * 3


def test_on_cycle_returns_a_dict_or_none():
    with pytest.raises(TypeError, match="on_cycle must return a dict or None, got True"):
        started(on_cycle=lambda wheel, row: True).run_cycles(Task())


def test_a_run_checks_its_cycles():
    made = started()
    made.flywheel._m_step_main = lambda rows: math.nan
    with pytest.raises(DivergenceError, match="main_loss became nan in cycle 1"):
        made.run_cycles(Task())
    assert made.history == []
    without = started(refurbish=False)
    without.run_cycles(Task())  # the loss of f is nan all along


# the guard


@pytest.mark.parametrize(("changes", "guarded"), [({}, True), ({"guard": False}, False), ({"refurbish": False}, False)])
def test_a_guard_stands_where_it_is_asked_for_and_there_is_f(changes, guarded):
    assert (started(**changes).guard is not None) == guarded


def test_the_guard_compares_with_the_rows_that_take_part():
    weights = WEIGHTS.clone()
    weights[[0, 3, 6, 9]] = 0  # all of class 0
    made = started(sample_weight=weights)
    assert_close(made.guard.references[0], torch.tensor([0, 0.5, 0.5], dtype=torch.float64))
    assert made.guard.first_gamma == float(made.flywheel.state.gamma)


def test_a_collapse_is_undone_and_the_run_goes_on_with_care(ten_rows_are_enough):
    made = started(n_cycles=4, cr_ramp=0, mixup_alpha=0.0, resample="argmax")
    collapse(made, {2})
    states = []
    made.on_cycle = lambda wheel, row: states.append(wheel.state_dict())
    wheel = made.flywheel
    undone = []
    original = made._go_back

    def go_back(guard, complaint):
        original(guard, complaint)
        undone.append((wheel.state.state_dict(), logits_of(wheel.aux).clone()))

    made._go_back = go_back
    with pytest.warns(FlywheelWarning, match=r"turned against itself.* in cycle 2: went back to the state before it"):
        made.run_cycles(Task())
    assert [row["cycle"] for row in made.history] == [1, 2, 3, 4]
    assert [row["undone"] for row in made.history] == [False, True, False, False]
    state, logits = undone[0]
    before = states[0]["state"]
    assert state["cycle"] == 2 and all(
        torch.equal(state[name], before[name]) for name in ("q", "y_hat", "f_prob", "eps", "gamma")
    )
    agreement = float((before["f_prob"].argmax(1) == GIVEN).double().mean())
    assert wheel.settings == settings(
        n_cycles=4, cr_ramp=0, calibrate=True, resample="posterior", cr_weight=pytest.approx(1 - agreement)
    )
    assert made.guard.has_gone_back and not made.stopped


def test_a_second_collapse_stops_the_run_with_the_state_before_it(ten_rows_are_enough):
    kept = Kept()
    made = started(checkpoints=kept, n_cycles=9)
    collapse(made, {2, 3})
    with pytest.warns(FlywheelWarning, match="in cycle 2: went back") as caught:
        made.run_cycles(Task())
    assert len(caught) == 1 and made.stopped  # whoever runs it tells of the second time
    assert made.given_up.startswith("the class proportions") and made.given_up.endswith("in cycle 3 again")
    assert kept.all[-1]["given_up"] == made.given_up
    assert [row["undone"] for row in made.history] == [False, True, True]
    assert len(set(made.flywheel.state.y_hat.tolist())) > 1


def test_without_a_guard_a_collapse_goes_on(ten_rows_are_enough):
    made = started(n_cycles=2, guard=False)
    collapse(made, {1, 2})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.run_cycles(Task())
    assert [row["undone"] for row in made.history] == [False, False]
    assert made.flywheel.state.y_hat.tolist() == [0] * N


def test_few_rows_are_not_guarded():
    made = started(n_cycles=2)
    collapse(made, {1, 2})
    made.run_cycles(Task())
    assert [row["undone"] for row in made.history] == [False, False]


@pytest.mark.parametrize(("ramp", "first_cycle", "undone"), [(1, 0, 2), (2, 0, 3), (1, 4, 6)])
def test_gamma_is_watched_once_lambda_had_its_weight(ten_rows_are_enough, ramp, first_cycle, undone):
    made = started(n_cycles=4, cr_ramp=ramp)
    made.guard.references = [torch.full((K,), 1 / K).double()] * 2
    made.flywheel.first_cycle = made.flywheel.state.cycle = first_cycle
    original = made.flywheel.step_after_resampling
    calm = torch.arange(N) % K

    def step(so_far):
        row = original(so_far)
        made.flywheel.state.y_hat[:] = calm
        return row | {"gamma": 0.0}

    made.flywheel.step_after_resampling = step
    with pytest.warns(FlywheelWarning, match=f"gamma fell from .* to 0.00 in cycle {undone}: went back"):
        made.run_cycles(Task(stop_after=undone - first_cycle))
    assert [row["undone"] for row in made.history].index(True) == undone - first_cycle - 1


def test_rows_of_weight_zero_are_not_watched(ten_rows_are_enough, monkeypatch):
    monkeypatch.setattr(guard_module, "LEAST_ROWS", 6)
    weights = WEIGHTS.clone()
    weights[[0, 3, 6, 9]] = 0
    made = started(n_cycles=1, sample_weight=weights)
    seen = []
    made.guard.complaint = lambda y_hat, gamma, after_ramp: seen.append((y_hat.tolist(), gamma))
    made.run_cycles(Task())
    s = made.flywheel.state
    assert seen == [(s.y_hat[weights > 0].tolist(), float(s.gamma))]


# going back and going on


def test_an_interrupted_cycle_is_undone():
    made = started(n_cycles=3)
    made.run_cycles(Task(stop_after=1))
    good = made.flywheel.state_dict()
    made.flywheel.cycle()
    made.back_to_good()
    assert made.flywheel.state.cycle == 1
    assert torch.equal(made.flywheel.state.q, good["state"]["q"])
    before_any = run()
    before_any.back_to_good()  # nothing to go back to
    assert before_any.flywheel.state.cycle == 0


def test_the_good_state_is_that_of_the_last_cycle():
    made = started(n_cycles=2)
    assert made.last_good_state["state"]["cycle"] == 0
    made.run_cycles(Task())
    assert made.last_good_state["state"]["cycle"] == 2


def test_a_later_fit_goes_on_from_what_was_kept():
    first = started(n_cycles=2)
    first.run_cycles(Task())
    kept = first.kept()
    second = run(n_cycles=3)
    second.start(kept)
    assert second.flywheel.first_cycle == second.flywheel.state.cycle == 2 and second.n_warmup_epochs == 2
    assert_close(logits_of(second.flywheel.aux), logits_of(first.flywheel.aux))
    assert second.guard.first_gamma == float(first.flywheel.state.gamma)
    second.run_cycles(Task())
    assert [row["cycle"] for row in second.history] == [1, 2, 3, 4, 5] and second.n_cycles_done == 3
    assert len(kept["history"]) == len(first.history) == 2  # its own list


# checkpoints


def figures(history):
    return [{name: value for name, value in row.items() if not name.endswith("seconds")} for row in history]


def finished(checkpoints, **changes):
    made = started(checkpoints=checkpoints, n_cycles=4, batch_size=4, **changes)
    made.run_cycles(Task())
    return made


def assert_same_end(one, other):
    assert figures(one.history) == figures(other.history)
    assert torch.equal(logits_of(one.flywheel.aux), logits_of(other.flywheel.aux))
    assert torch.equal(logits_of(one.flywheel.main), logits_of(other.flywheel.main))
    assert one.n_warmup_epochs == other.n_warmup_epochs and one.n_cycles_done == other.n_cycles_done


def test_a_run_that_is_never_due_writes_its_end_only():
    kept = Kept()
    finished(kept)
    assert [state["n_cycles_done"] for state in kept.all] == [4]
    assert kept.all[0]["phase"] == "cycles" and kept.all[0]["so_far"] is None and kept.all[0]["now"] is None


def test_a_run_that_is_always_due_writes_every_epoch_half_cycle_and_cycle():
    asked = []
    kept = Kept(when=lambda seconds: asked.append(seconds) or True)
    finished(kept)
    assert [state["phase"] for state in kept.all] == ["warm-up"] * 2 + ["cycles"] * 8
    assert [state["epoch"] for state in kept.all[:2]] == [1, 2]
    halves = [state["so_far"] is not None for state in kept.all[2:]]
    assert halves == [True, False] * 4
    assert [state["n_cycles_done"] for state in kept.all[2:]] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert set(asked) == {0.0, 60.0}


@pytest.mark.parametrize("place", range(10))
def test_a_run_goes_on_from_any_checkpoint_to_the_same_end(place):
    kept = Kept(when=lambda seconds: True)
    torch.manual_seed(0)
    whole = finished(kept)
    again = finished(Kept(kept.all[place]))
    assert_same_end(whole, again)
    assert (again.guard is None) == (whole.guard is None)


def test_a_resumed_run_shows_the_cycles_it_was_spared():
    kept = Kept(when=lambda seconds: True)
    finished(kept)
    again = started(checkpoints=Kept(kept.all[5]), n_cycles=4, batch_size=4)
    assert again.progress.cycles_done == again.n_cycles_done == 2
    assert again.last_good_state is again.checkpoints.saved["snapshot"]


def test_settings_guard_and_first_cycle_are_part_of_a_checkpoint(ten_rows_are_enough):
    kept = Kept(when=lambda seconds: True)
    made = started(checkpoints=kept, n_cycles=4)
    made.flywheel.first_cycle = 0
    collapse(made, {1})
    with pytest.warns(FlywheelWarning):
        made.run_cycles(Task(stop_after=2))
    again = started(checkpoints=Kept(kept.all[-1]), n_cycles=4)
    assert again.flywheel.settings == made.flywheel.settings and again.flywheel.settings.calibrate is True
    assert again.guard.has_gone_back and again.guard.first_gamma == made.guard.first_gamma
    assert again.stopped and again.given_up is None  # by its task
    assert started(checkpoints=Kept(kept.all[-1] | {"given_up": "why"}), n_cycles=4).given_up == "why"
    assert figures(again.history) == figures(made.history)
    later = kept.all[-1] | {"first_cycle": 1}
    assert started(checkpoints=Kept(later), n_cycles=4).flywheel.first_cycle == 1
    unguarded = started(checkpoints=Kept(kept.all[-1] | {"guard": None}), n_cycles=4)
    assert unguarded.guard is None


def test_warnings_point_out_what_to_do():
    with pytest.warns(FlywheelWarning, match="loop turned against itself: why. Look at history_, try a longer warm-up"):
        module.warn_of_turning("why")


def test_nothing_is_done_before_the_start():
    wheel = run()
    assert (wheel.n_cycles_done, wheel.n_warmup_epochs, wheel.history) == (0, 0, [])


def test_a_checkpoint_counts_more_than_an_earlier_fit():
    wheel = run()
    wheel._resume = lambda saved: True
    wheel.last_good_state = {}
    wheel._continue = wheel._warm_up = None  # neither is called
    wheel.start({"snapshot": {}})


def test_what_is_kept_for_a_later_fit_is_a_copy():
    wheel = started()
    assert wheel.kept()["history"] is not wheel.history and wheel.kept()["history"] == wheel.history


def test_a_flywheel_that_weighs_its_cycles_itself_has_no_guard():
    made = flywheel()
    assert started(made).guard is not None
    unguarded = flywheel()
    unguarded.is_guarded = False
    assert started(unguarded).guard is None
