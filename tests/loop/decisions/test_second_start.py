"""The second start: by hand when there is one, then runs of tables that begin again and go on from any checkpoint."""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tables import GIVEN, WEIGHTS, K, logits_of
from test_run import Kept, Task, figures, run
from torch.testing import assert_close

from noisyflywheel import FlywheelClassifier, em
from noisyflywheel.estimator.auto.defaults import AUTO_IMAGES, AUTO_VECTORS, make_settings
from noisyflywheel.loop.decisions import second_start as module
from noisyflywheel.loop.decisions.second_start import NEARLY, SecondStart, rival_frequency
from noisyflywheel.loop.state import Settings
from noisyflywheel.noise import asymmetric

FIRST, ALL = 3, 8
T = torch.tensor([[0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.6, 0.1, 0.3]], dtype=torch.float64)


# ---- the decision


def test_a_wrong_label_tells_as_far_as_it_exceeds_the_others_and_the_way_back():
    assert rival_frequency(T, torch.tensor([0, 0, 0])) == pytest.approx((0.4 - 0.1 - 0.1) / 0.5)
    assert rival_frequency(T, torch.tensor([1])) == 0.0, "class 0 is labelled 1 more often than 1 is labelled 0"
    assert rival_frequency(T, torch.tensor([2])) == 1.0, "not 4/3: more wrong labels than right ones"
    assert rival_frequency(torch.eye(K, dtype=torch.float64), GIVEN) == 0.0


def test_it_is_that_of_a_tenth_of_the_rows():
    most = torch.zeros(9, dtype=torch.int64)  # 0.4
    assert rival_frequency(T, torch.cat([most, torch.tensor([2])])) == 1.0
    assert rival_frequency(T, torch.cat([most, torch.tensor([0, 0, 2])])) == pytest.approx(0.4), (
        "one in twelve is of class 2"
    )
    assert rival_frequency(T, torch.tensor([1] * 18 + [0, 2])) == pytest.approx(0.4), "one in twenty of each"
    assert rival_frequency(T, torch.tensor([1] * 19 + [2])) == 0.0


def test_other_wrong_labels_count_as_their_mean():
    row = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    of_four = torch.stack([row, *torch.eye(4, dtype=torch.float64)[1:]])
    frequency = rival_frequency(of_four, torch.tensor([0]))
    assert isinstance(frequency, float) and frequency == pytest.approx((0.3 - 0.1) / 0.5)


def test_the_label_that_tells_need_not_be_the_most_frequent_one():
    both = torch.tensor([[0.4, 0.35, 0.25], [0.35, 0.65, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    assert rival_frequency(both, torch.tensor([0])) == 0.0
    of_four = torch.tensor([[0.4, 0.3, 0.27, 0.03], [0.3, 0.7, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    assert rival_frequency(of_four, torch.tensor([0])) == pytest.approx((0.27 - 0.165) / 0.4)


def test_a_class_without_right_labels_is_as_its_wrong_ones_are():
    even = torch.tensor([[0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    assert rival_frequency(even, torch.tensor([0])) == 0.0, "no number, were it divided by 0"


def test_of_two_classes_one_may_be_labelled_as_the_other():
    one_way = torch.tensor([[0.6, 0.4], [0.1, 0.9]], dtype=torch.float64)
    assert rival_frequency(one_way, torch.tensor([0, 1])) == pytest.approx(0.3 / 0.6)
    both_ways = torch.tensor([[0.6, 0.4], [0.4, 0.6]], dtype=torch.float64)
    assert rival_frequency(both_ways, torch.tensor([0, 1])) == 0.0


def test_a_weight_counts_as_a_repetition():
    labels = torch.tensor([1] * 9 + [0, 2])
    assert rival_frequency(T, labels) == pytest.approx(0.4)
    weight = torch.tensor([1.0] * 10 + [2.0], dtype=torch.float64)
    assert rival_frequency(T, labels, weight) == rival_frequency(T, torch.cat([labels, labels[-1:]])) == 1.0
    assert rival_frequency(T, labels, torch.tensor([1.0] * 9 + [0.0] * 2, dtype=torch.float64)) == 0.0


@pytest.mark.parametrize(("frequency", "begins"), [(NEARLY, True), (NEARLY - 1e-9, False)])
def test_it_begins_again_where_a_wrong_label_is_frequent(frequency, begins):
    made = SecondStart(FIRST)
    made.remember(lambda: {"of": "the warm-up"})
    assert [cycle for cycle in range(9) if made.is_due(cycle)] == [FIRST]
    assert made.decide(frequency) == ({"of": "the warm-up"} if begins else None)
    assert made.beginning is None and not made.is_due(FIRST), "decided once"


def test_the_bound_is_passed_where_two_labels_in_five_are_the_next_class_but_not_by_one_in_four():
    assert 0.25 / 0.75 < NEARLY < 0.4 / 0.6


@pytest.mark.parametrize(
    ("n_cycles", "ramp", "first"), [(100, 5, 30), (95, 5, 28), (100, 40, 40), (10, 5, 5), (10, 6, 0), (100, 51, 0)]
)
def test_it_comes_after_three_tenths_or_lambdas_ramp_if_half_of_the_cycles_are_left(n_cycles, ramp, first):
    assert module.cycles_before(n_cycles, ramp) == first


def test_it_may_come_after_the_first_cycle():
    made = SecondStart(1)
    made.remember(dict)
    assert made.is_due(1) and made.decide(1.0) == {}
    made.load_state_dict(made.begun(1))
    assert made.keeps_matrices(1, 5) and made.ramp(40) == 10


def test_what_was_saved_does_not_change():
    made = SecondStart(FIRST)
    made.remember(dict)
    saved = made.state_dict()
    made.decide(1.0)
    assert saved["beginning"] == {} and saved["frequency"] is None
    made.load_state_dict(saved)
    assert made.is_due(FIRST)


def test_nothing_is_remembered_where_there_is_no_second_start():
    made = SecondStart()
    made.remember(lambda: pytest.fail("a copy that nobody needs"))
    assert made.decision() is None and not made.keeps_matrices(0, 5)


@pytest.mark.parametrize(("ramp", "n_kept"), [(5, 10), (10, 10), (12, 12)])
def test_t_stands_for_ten_cycles_or_lambdas_usual_ramp(ramp, n_kept):
    made = SecondStart(FIRST)
    assert not any(made.keeps_matrices(cycle, ramp) for cycle in range(20))
    made.load_state_dict(made.begun(FIRST))
    kept = [cycle for cycle in range(FIRST, 20) if made.keeps_matrices(cycle, ramp)]
    assert kept == list(range(FIRST, FIRST + n_kept))


def test_only_default_nets_that_are_asked_for_nothing_else_begin_again():
    names = ("cr_ramp", "contrastive_weight", "mixup_alpha", "distribution_alignment", "average_epochs", "n_cycles")
    params = dict.fromkeys(Settings.__dataclass_fields__, 1) | dict.fromkeys(names, "auto")
    params |= {"main_net": None, "aux_net": None, "cycle_size": None, "refurbish": True}
    params |= {"noise_model": "class", "resample": "posterior"}

    def first(image=False, n_folds=1, n_rows=30_000, **changes):
        return make_settings(params | changes, image, n_folds, n_rows).n_first_cycles

    assert first() == 0.3 * AUTO_VECTORS["n_cycles"] == 30
    assert first(image=True) == AUTO_IMAGES["ramp_share"] * AUTO_IMAGES["n_cycles"] == 40, "lambda's ramp"
    assert first(cr_ramp=50) == 50 and first(cr_ramp=51) == 0, "at least half of the cycles follow"
    assert first(n_folds=5) == first(n_rows=30_001) == first(image=True, n_rows=30_001) == 0
    others = {"n_cycles": 100, "main_net": object(), "aux_net": object(), "cycle_size": 5}
    others |= {"refurbish": False, "noise_model": "uniform", "resample": "argmax"}
    assert {name: first(**{name: value}) for name, value in others.items()} == dict.fromkeys(others, 0)


# ---- runs


def weights_of(beginning, net):
    """Logits of the table that g (0) or f (1) was after the warm-up."""
    return beginning["nets"][net]["net"]["parts"]["module"]["logits"]


def begun(checkpoints=None, task=None, **changes):
    """A run of tables whose classes are labelled as others often enough."""
    options = {"n_cycles": ALL, "n_first_cycles": FIRST, "n_warmup_epochs": 2, "lr": 1.0, "cr_ramp": 2} | changes
    made = run(checkpoints=checkpoints, **options)
    made.start()
    made.run_cycles(task or Task())
    return made


@pytest.fixture
def nearly(monkeypatch):
    """Every T is a reason to begin again."""
    monkeypatch.setattr(module, "NEARLY", 0.0)


def test_the_nets_begin_again_and_t_stays(nearly):
    made = begun(task=Task(FIRST)).flywheel
    beginning, known = made.second_start.beginning, (made.state.transition, made.state.corruption)
    assert not torch.equal(logits_of(made.aux), weights_of(beginning, 1))
    made._start_again_if_due()
    s = made.state
    assert torch.equal(logits_of(made.aux), weights_of(beginning, 1))
    assert torch.equal(logits_of(made.main), weights_of(beginning, 0))
    assert torch.equal(s.f_prob, beginning["state"]["f_prob"]) and torch.equal(s.y_hat, GIVEN)
    assert_close((s.transition, s.corruption), known)
    assert_close(s.eps, em.error_probability(s.f_prob, known[1], GIVEN).double())
    assert s.cycle == FIRST == made.second_start.at and made.n_since_start == 0
    assert made.cr_weight() == 0 and float(s.n_scored.sum()) == 0


def test_t_is_that_of_the_first_cycles_afterwards(nearly, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    at = []
    made = run(on_cycle=lambda f, row: at.append(f.state.transition), n_cycles=ALL, n_first_cycles=FIRST, lr=1.0)
    made.start()
    made.run_cycles(Task())
    same = [torch.equal(before, after) for before, after in zip(at, at[1:], strict=False)]
    assert same == [False, False, True, True, False, False, False], "cycles 4 and 5 have T of cycle 3"


def test_the_plan_begins_anew(nearly):
    rates, weights, scored = [], [], []

    def look(made, row):
        rates.append(made.main.net.optimizer_.param_groups[0]["lr"])
        weights.append(row["cr_weight"])
        scored.append(int(made.state.n_late[0]))

    made = run(on_cycle=look, n_cycles=ALL, n_first_cycles=FIRST, lr=1.0, cr_ramp=2, cr_weight=4.0)
    made.start()
    made.run_cycles(Task())
    assert weights == [2, 4, 4, 2, 4, 4, 4, 4], "lambda of the next cycle"
    assert scored == [0, 0, 0, 0, 0, 1, 2, 3], "the later half of the five cycles after it"
    assert [row["cycle"] for row in made.history] == list(range(1, ALL + 1))


def test_lambda_rises_faster_afterwards(nearly, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    weights = []
    settings = {"n_cycles": 9, "n_first_cycles": 4, "lr": 1.0, "cr_ramp": 4, "cr_weight": 4.0}
    made = run(on_cycle=lambda f, row: weights.append(row["cr_weight"]), **settings)
    made.start()
    made.run_cycles(Task())
    assert weights == [1, 2, 3, 4, 2, 4, 4, 4, 4]


def test_where_labels_are_right_the_run_is_what_it_was():
    usual = begun(n_first_cycles=0)
    made = begun()
    assert made.flywheel.second_start.frequency < NEARLY and made.flywheel.second_start.at == 0
    assert figures(made.history) == figures(usual.history)
    made.flywheel.close()
    found = made.flywheel.decisions[-1]
    assert (found.decision, found.chosen) == ("second start", "none") and "gather on one: 0." in found.reason


def test_what_was_decided_is_among_the_decisions(nearly):
    made = begun().flywheel
    made.close()
    assert (made.decisions[-1].decision, made.decisions[-1].chosen) == ("second start", f"after cycle {FIRST}")


def test_weighted_rows_decide(nearly):
    weights = WEIGHTS.clone()
    weights[[2, 5]] = 0
    made = begun(sample_weight=weights).flywheel
    assert made.second_start.at == FIRST
    even = made.state.eps == 1 / K
    assert even.nonzero().flatten().tolist() == [2, 5], "rows that take no part know nothing of T_c"


@pytest.mark.parametrize("at", range(1, ALL))
def test_a_run_goes_on_from_any_checkpoint(nearly, at):
    whole = Kept(when=lambda seconds: seconds == 0.0)
    made = begun(whole)
    saved = next(state for state in whole.all if state["phase"] == "cycles" and state["n_cycles_done"] == at)
    again = begun(Kept(saved))
    assert figures(again.history) == figures(made.history)
    assert again.flywheel.second_start.at == FIRST
    assert_close(again.flywheel.state.q, made.flywheel.state.q)


def test_a_run_that_was_held_back_does_not_begin_again(nearly):
    made = run(n_cycles=ALL, n_first_cycles=FIRST, lr=1.0)
    made.start()
    with pytest.warns(match="went back"):
        made._go_back(made.guard, "a class takes over")
    assert made.flywheel.second_start.beginning is None
    made.run_cycles(Task())
    assert made.flywheel.second_start.at == 0


def test_a_fit_that_goes_on_does_not_begin_again(nearly):
    first = begun(task=Task(2))
    made = run(n_cycles=ALL, n_first_cycles=FIRST, n_warmup_epochs=2, lr=1.0, cr_ramp=2)
    made.start(first.kept())
    made.run_cycles(Task())
    assert made.flywheel.second_start.at == 0 and made.flywheel.state.cycle == 2 + ALL


def test_a_checkpoint_from_before_there_was_one():
    whole = Kept(when=lambda seconds: seconds == 0.0)
    begun(whole, n_first_cycles=0)
    saved = next(state for state in whole.all if state["phase"] == "cycles" and state["n_cycles_done"] == 2)
    del saved["snapshot"]["second_start"], saved["settings"]["n_first_cycles"]
    assert len(begun(Kept(saved), n_first_cycles=0).history) == ALL


def test_a_group_with_more_wrong_labels_finds_its_class():
    """Eqs. (4), (11) and (14) of a group of ten rows of class 0 of which six are labelled 1, as class 1 never is 0."""
    corruption = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]], dtype=torch.float64)
    given = torch.tensor([0] * 4 + [1] * 6)
    shares = {}
    for name, known in (("unknown", torch.full((3, 3), 1 / 3, dtype=torch.float64)), ("known", corruption)):
        f = torch.tensor([[0.4, 0.6, 0.0]], dtype=torch.float64).repeat(10, 1)  # as the group is labelled
        for _ in range(30):  # a net that predicts the mean of its targets for rows that look alike
            eps = em.error_probability(f, known, given)
            q = em.clean_posterior(f.gather(1, given[:, None]).squeeze(1), torch.tensor(0.6), eps)
            f = em.refurbish(q, given, f).mean(0, keepdim=True).repeat(10, 1)
        shares[name] = float(f[0, 0])
    assert shares["unknown"] < 0.4 < 0.5 < shares["known"]


@pytest.mark.slow
def test_digits_with_two_labels_in_five_of_the_next_class(monkeypatch):
    X, y = load_digits(return_X_y=True)
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=1)
    given = asymmetric(y_train, 0.4, random_state=1)
    twice = FlywheelClassifier(random_state=1).fit(train, given)
    assert twice.decisions_.set_index("decision").chosen["second start"] == "after cycle 30"
    monkeypatch.setattr(module, "NEARLY", math.inf)
    once = FlywheelClassifier(random_state=1).fit(train, given)
    assert twice.score(test, y_test) > once.score(test, y_test) + 0.01


@pytest.mark.slow
def test_default_nets_on_pictures_begin_again_and_go_on_from_a_checkpoint(nearly, tmp_path):
    digits, y = load_digits(return_X_y=True)
    X, given = (digits[:40, :].reshape(-1, 1, 8, 8) * 15).astype("uint8"), y[:40] % 3

    def stop(flywheel, row):
        if flywheel.state.cycle == 45:
            raise RuntimeError("killed")

    whole = FlywheelClassifier(random_state=0).fit(X, given)
    found = whole.decisions_.set_index("decision").loc["second start"]
    assert found["chosen"] == "after cycle 40" and len(whole.history_) == 100
    with pytest.raises(RuntimeError, match="killed"):
        FlywheelClassifier(random_state=0, checkpoint_dir=tmp_path, on_cycle=stop).fit(X, given)
    again = FlywheelClassifier(random_state=0, checkpoint_dir=tmp_path).fit(X, given)
    assert (again.predict_proba(X) == whole.predict_proba(X)).all()
    assert (again.clean_proba_ == whole.clean_proba_).all()
