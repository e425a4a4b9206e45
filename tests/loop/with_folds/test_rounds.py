"""When cycles are repeated: the record of rounds by hand, then whole runs of tables that learn or forget on cue."""

import math

import pytest
import torch
from folded_tables import out_of_fold
from tables import GIVEN, K, N
from test_run import Kept, Task, figures, run
from torch.testing import assert_close

from noisyflywheel.estimator.auto.defaults import SMALL_TABLE, make_settings
from noisyflywheel.loop.state import Settings
from noisyflywheel.loop.with_folds import rounds as module
from noisyflywheel.loop.with_folds.rounds import Rounds

pytestmark = pytest.mark.usefixtures("quick_folds")

OTHER = (GIVEN + 1) % K


def right_on(n_rows):
    """Predictions (N, K) that agree with the given labels of the first rows."""
    classes = torch.where(torch.arange(N) < n_rows, GIVEN, OTHER)
    return torch.nn.functional.one_hot(classes, K) * 0.7 + 0.1


# ---- the record


@pytest.mark.parametrize(("n_rows", "worth"), [(9, True), (8, False), (0, False)])
def test_another_round_follows_a_first_one_that_won_three_deviations(n_rows, worth):
    made = Rounds()
    made.compare(right_on(n_rows), right_on(0), GIVEN)  # z = sqrt(n_rows): 9 is three
    assert made.last_was_worth_it == worth and not made.last_was_worse
    assert made.decisions[0].z == pytest.approx(math.sqrt(n_rows))
    assert made.decisions[0].share == pytest.approx(0.5 + 0.5 * math.erf(math.sqrt(n_rows / 2))), "half where none wins"
    assert made.decisions[0].decision == "round 1" and made.decisions[0].alternative == "warm-up"


@pytest.mark.parametrize(("n_rows", "worse"), [(6, False), (5, False), (4, True), (0, True)])
def test_later_rounds_must_not_lose(n_rows, worse):
    made = Rounds()
    made.begin({"state": {"cycle": 4}})
    made.compare(right_on(n_rows), right_on(5), GIVEN)
    assert made.last_was_worse == worse and not made.last_was_worth_it
    assert made.decisions[0].decision == "round 2" and made.decisions[0].alternative == "round 1"


def test_the_last_round_counts_not_the_first():
    made = Rounds()
    made.compare(right_on(9), right_on(0), GIVEN)
    made.begin({"state": {"cycle": 4}})
    made.compare(right_on(9), right_on(9), GIVEN)
    assert not made.last_was_worth_it and not made.last_was_worse


def test_later_rounds_are_half_as_long():
    made = Rounds()
    assert made.length(16) == 16 and made.start == 0
    made.begin({"state": {"cycle": 16}})
    assert (made.n, made.start, made.length(16), made.length(1)) == (2, 16, 8, 1)
    assert [module.most_cycles(16, n_rounds) for n_rounds in (1, 2, 3)] == [16, 24, 32]


def test_a_record_comes_back():
    made, other = Rounds(), Rounds()
    made.compare(right_on(10), right_on(0), GIVEN)
    made.begin({"state": {"cycle": 4}})
    other.load_state_dict(made.state_dict())
    assert (other.n, other.start, other.before) == (made.n, made.start, made.before)
    assert other.decisions[0][:9] == made.decisions[0][:9]


def test_only_small_tables_with_folds_whose_cycles_are_not_asked_for_have_rounds():
    auto = dict.fromkeys(
        ("cr_ramp", "contrastive_weight", "mixup_alpha", "distribution_alignment", "average_epochs", "n_cycles"), "auto"
    )
    params = dict.fromkeys(Settings.__dataclass_fields__, 1) | auto | {"main_net": None, "aux_net": None}

    def most(n_folds=5, n_rows=SMALL_TABLE, **changes):
        return make_settings(params | changes, False, n_folds, n_rows).n_rounds

    assert most() == module.MOST_ROUNDS == 2
    assert most(n_rows=SMALL_TABLE + 1) == most(n_folds=1) == most(n_cycles=16) == 1


# ---- runs


class Scripted:
    """A flywheel of tables in which f agrees with so many given labels of unseen rows at the end of each cycle."""

    def __init__(self, agreements, n_cycles=4, n_rounds=2, **changes):
        self.made = out_of_fold(n_cycles=n_cycles, n_warmup_epochs=0, n_rounds=n_rounds, **changes)
        self.agreements = agreements
        self.made._early_guess = lambda: right_on(0)
        self.made._resample = self.resample

    def resample(self, rows):
        self.made.state.f_prob = right_on(self.agreements[self.made.state.cycle])
        self.made.state.q += 0.01  # something that another round changes


def turned(agreements, task=None, checkpoints=None, **changes):
    made = run(Scripted(agreements, **changes).made, checkpoints)
    made.start()
    made.run_cycles(task or Task())
    return made


def test_a_first_round_that_wins_little_is_the_only_one():
    made = turned([8] * 4)
    assert len(made.history) == 4 and made.flywheel.n_rounds == 1
    assert [found.z for found in made.flywheel.rounds.decisions] == [pytest.approx(math.sqrt(8))]


def test_a_round_follows_one_that_won_much():
    made = turned([0, 0, 0, 5] + [9] * 2)
    assert len(made.history) == 4, "five of ten are 2.2 deviations"
    task = Task()
    made = turned([9] * 4 + [9, 10], task)
    assert len(made.history) == len(task.ended) == 6, "4 + 2"
    assert made.flywheel.n_rounds == 2 and not any(row["undone"] for row in made.history)
    assert made.flywheel.rounds.before is None, "nothing is kept beyond the last round"


def test_as_many_rounds_follow_as_are_allowed(monkeypatch):
    monkeypatch.setattr(module, "WORTH", 1.0)
    for n_rounds, n_cycles in ((1, 4), (2, 6), (3, 8), (4, 10)):
        made = turned([1] * 4 + [2] * 2 + [3] * 2 + [4] * 2, n_rounds=n_rounds)
        assert len(made.history) == made.n_cycles_planned == n_cycles and made.flywheel.n_rounds == n_rounds


def test_a_later_round_that_wins_nothing_stays_and_ends_them():
    made = turned([9] * 6)
    assert len(made.history) == 6 and made.flywheel.n_rounds == 2
    assert not any(row["undone"] for row in made.history)


def test_a_later_round_that_loses_is_undone():
    made = turned([9] * 4 + [8] * 2)
    assert [row["undone"] for row in made.history] == [False] * 4 + [True] * 2
    assert [row["cycle"] for row in made.history] == [1, 2, 3, 4, 5, 6] and made.flywheel.state.cycle == 6
    assert torch.equal(made.flywheel.state.f_prob, right_on(9)) and made.flywheel.rounds.before is None
    other = turned([9] * 4, Task(4))  # stopped where the second round begins
    assert len(other.history) == 4
    assert_close(made.flywheel.state.q, other.flywheel.state.q)
    for trainer, its in zip(made.flywheel.trainers, other.flywheel.trainers, strict=True):
        assert_close(trainer.net.module_.logits, its.net.module_.logits)


def test_what_was_found_of_rounds_is_among_the_decisions():
    made = turned([9] * 6).flywheel
    del made._resample
    made._early_guess = type(made)._early_guess.__get__(made)
    made.close()
    found = [each.decision for each in made.decisions]
    assert found == [
        *("weights of columns", "round 1", "round 2", "prediction", "temperature of predictions", "labels")
    ]


def test_without_rounds_nothing_is_compared():
    made = run(out_of_fold(n_cycles=2, n_warmup_epochs=0))
    made.start()
    made.run_cycles(Task())
    assert len(made.history) == 2 and made.flywheel.rounds.decisions == []


@pytest.mark.parametrize("at", range(1, 7))
def test_a_run_with_rounds_goes_on_from_any_checkpoint(at):
    agreements = [9] * 4 + [9, 10]
    whole = Kept(when=lambda seconds: seconds == 0.0)
    made = turned(agreements, checkpoints=whole)
    saved = next(state for state in whole.all if state["phase"] == "cycles" and state["n_cycles_done"] == at)
    again = turned(agreements, checkpoints=Kept(saved))
    assert figures(again.history) == figures(made.history)
    assert again.flywheel.n_rounds == 2 and again.n_cycles_planned == 6 == again.progress.n_cycles
    assert_close(again.flywheel.state.q, made.flywheel.state.q)


def test_a_checkpoint_from_before_there_were_rounds_is_one_of_one_round():
    whole = Kept(when=lambda seconds: seconds == 0.0)
    turned([8] * 4, checkpoints=whole)
    saved = next(state for state in whole.all if state["phase"] == "cycles" and state["n_cycles_done"] == 2)
    del saved["n_cycles_planned"], saved["snapshot"]["rounds"], saved["settings"]["n_rounds"]
    again = turned([8] * 4, checkpoints=Kept(saved))
    assert len(again.history) == 4 and again.flywheel.n_rounds == 1


def test_a_fit_that_goes_on_begins_with_rounds_of_its_own():
    first = turned([9] * 4 + [9, 10])
    again = Scripted([10] * 30).made
    again.go_on_from(first.kept()["snapshot"])
    assert again.first_cycle == 6 and again.n_rounds == 1 and again.rounds.decisions == []


def test_the_rate_of_a_later_round_begins_anew():
    made = out_of_fold(n_cycles=4, lr=0.25)
    made.start_cycles()
    made.aux.scheduled, made.learnt_epochs, made.first_cycle = True, 6.0, 0
    made.rounds.begin({"state": {"cycle": 4}})
    rates = []
    for cycle in (4, 5):
        made.state.cycle = cycle
        made._schedule_learning_rates()
        rates.append(made.aux.net.optimizer_.param_groups[0]["lr"])
    assert rates == pytest.approx([0.25 * 3.0, 0.25 * 3.0 * 0.5]), "the peak of the first round, over half as many"


def test_the_bar_grows_with_the_rounds():
    made = turned([9] * 4 + [9, 10])
    assert made.progress.n_cycles == 6 == made.progress.cycles_done


def test_the_first_round_of_a_fit_that_goes_on_is_in_the_middle_of_its_cosine():
    made = out_of_fold(n_cycles=4, lr=0.25)
    made.start_cycles()
    made.aux.scheduled, made.learnt_epochs, made.first_cycle, made.state.cycle = True, 6.0, 4, 4
    made._schedule_learning_rates()
    assert made.aux.net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.25 * (2 * 6 / 8) * 0.5), "half of 4 + 4"
