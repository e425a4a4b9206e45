"""How strong views are: what the agreements say, by hand, and what the loop makes of it."""

import math

import pytest
import torch
from sklearn.datasets import load_digits, make_blobs
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochTimer
from tables import GIVEN, K, flywheel, linear_trainer, loader, settings
from torch.testing import assert_close

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.exceptions import FlywheelWarning
from noisyflywheel.loop.decisions import view_strength
from noisyflywheel.loop.decisions.view_strength import Unseen, best_of_warm_up, next_strength, with_tried
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.warmup_run import WarmUp
from noisyflywheel.noise import symmetric
from noisyflywheel.views import VectorViews

HALF = Unseen(0.5, 100)
"""Standard error .05: within .45 and .65 nothing changes."""


def test_the_best_two_epochs_count():
    right = [torch.arange(10) < n for n in (2, 8, 5, 6, 6)]
    found = best_of_warm_up(right)
    assert found.agreement == pytest.approx(0.65) and found.n_rows == 10  # 8 and 5, not 8 alone
    assert best_of_warm_up(right[:2]) == Unseen(0.5, 10) and best_of_warm_up([right[0][:5], right[1][:5]]).n_rows == 5
    assert best_of_warm_up(right[:1]) is None and best_of_warm_up([]) is None


def test_the_standard_error_by_hand():
    assert HALF.standard_error == pytest.approx(0.05)
    assert Unseen(0.9, 900).standard_error == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("agreement", "factor"),
    [
        (0.44, 1 / 1.15),
        (0.46, 1.0),
        (0.5, 1.0),
        (0.64, 1.0),
        (0.66, 1.15),
        (1.0, 1.15),
        (0.0, 1 / 1.15),
        (math.nan, 1.0),
    ],
)
def test_views_change_where_labels_are_hidden_or_learnt_by_heart(agreement, factor):
    assert next_strength(1.0, agreement, HALF) == pytest.approx(factor)


def test_of_few_rows_chance_is_told_apart():
    few = Unseen(0.5, 25)  # standard error .1: from .4 to .7
    assert next_strength(1.0, 0.69, few) == 1.0 and next_strength(1.0, 0.71, few) == 1.15
    assert next_strength(1.0, 0.41, few) == 1.0 and next_strength(1.0, 0.39, few) < 1


def test_less_than_a_label_in_twenty_learnt_by_heart_does_not_matter():
    nearly_all = Unseen(0.94, 100_000)
    assert next_strength(1.0, 0.985, nearly_all) == 1.0 and next_strength(1.0, 0.995, nearly_all) == 1.15


def test_until_lambda_has_its_weight_views_only_become_weaker():
    assert next_strength(1.0, 0.9, HALF, settled=False) == 1.0 and next_strength(1.0, 0.1, HALF, settled=False) < 1


def test_all_changes_together_have_bounds():
    strength = 1.0
    for _ in range(10):
        strength = next_strength(strength, 1.0, HALF)
    assert strength == 1.6
    for _ in range(20):
        strength = next_strength(strength, 0.0, HALF)
    assert strength == 0.35


def right(n, of=100):
    """The first n of so many rows are predicted."""
    return torch.arange(of) < n


@pytest.mark.parametrize(
    ("weaker", "stronger", "first", "most"),
    [
        (50, 50, 1.0, 1.6),  # no difference
        (54, 50, 0.5**0.5, 1.6 * 0.5**0.5),  # 4 rows won, none lost: two standard deviations, and so half
        (53, 47, 1.0, 1.6),
        (40, 46, 1.0, 1.6**0.5),
        (75, 25, 0.5**0.99865, 0.5**0.99865 * 1.6**0.00135),
        (50, 60, 1.0, 1.6),
    ],
)
def test_weaker_views_that_win_come_first_and_stronger_ones_that_lose_are_not_reached(weaker, stronger, first, most):
    found = with_tried(HALF, right(50), right(weaker), right(stronger))
    assert found[:2] == HALF[:2]
    assert found.first == pytest.approx(first, abs=1e-4) and found.strongest == pytest.approx(most, abs=1e-4)


def test_a_difference_of_chance_changes_nothing():
    assert with_tried(HALF, right(50), right(50), right(50)) == HALF
    won_two_lost_two = right(52) & ~right(2)
    assert with_tried(HALF, right(50), won_two_lost_two, won_two_lost_two) == HALF


def test_views_do_not_become_stronger_than_what_was_tried():
    bounded = HALF._replace(strongest=0.9)
    assert next_strength(0.85, 1.0, bounded) == 0.9 and next_strength(0.9, 1.0, bounded) == 0.9


def test_views_that_are_kept_as_they_are_do_not_change(monkeypatch):
    """As the benchmarks do for views of a fixed strength."""
    monkeypatch.setattr(view_strength, "WEAKEST", 1.0)
    monkeypatch.setattr(view_strength, "STRONGEST", 1.0)
    found = with_tried(HALF, right(50), right(75), right(50))
    assert found.first == next_strength(1.0, 1.0, found) == next_strength(1.0, 0.0, found) == 1.0


def adaptive(**changes):
    """At the first cycle, with noise that the loop may change, and a warm-up that half of the labels agreed with."""
    main, chosen = linear_trainer(), settings(**{"cr_ramp": 0} | changes)
    aux = linear_trainer() if chosen.refurbish else main
    made = Flywheel(main, aux, loader(VectorViews()), GIVEN, K, chosen)
    made.start_cycles()
    made.unseen = HALF
    return made


def test_a_cycle_sets_the_strength_by_the_last_agreement():
    made = adaptive()
    for agreement, expected in ((math.nan, 1.0), (0.9, 1.15), (0.5, 1.15), (0.1, 1.0)):
        made.state.agreement = agreement
        made._set_view_strength()
        assert made.state.view_strength == pytest.approx(expected)
        assert made.loader.views.strength == made.loader.views.views.strength_ == made.state.view_strength


def test_the_first_cycle_has_the_strength_that_the_warm_up_found():
    made = adaptive()
    made.unseen = HALF._replace(first=0.6)
    made.start_cycles()
    assert made.state.view_strength == made.loader.views.strength == 0.6


@pytest.mark.parametrize(("cycle", "expected"), [(3, 1.0), (4, 1.15), (5, 1.15)])
def test_lambda_has_its_weight_after_its_ramp(cycle, expected):
    made = adaptive(cr_ramp=2)
    made.first_cycle, made.state.cycle, made.state.agreement = 2, cycle, 0.9
    made._set_view_strength()
    assert made.state.view_strength == pytest.approx(expected)


def test_a_cycle_notes_its_agreement_and_strength():
    made = adaptive()
    made.state.agreement = 0.9
    row = made.cycle()
    assert row["view_strength"] == pytest.approx(1.15) and made.state.agreement == row["agreement"]


@pytest.mark.parametrize("changes", [{"cycle_size": 6}, {"refurbish": False}], ids=str)
def test_parts_of_the_rows_and_g_alone_leave_views_as_they_are(changes):
    made = adaptive(**changes)
    made.state.agreement = 0.9
    made._set_view_strength()
    made._record_decisions()
    assert made.state.view_strength == made.loader.views.strength == 1.0 and made.decisions == []


def test_without_rows_left_out_or_with_other_views_nothing_changes():
    made = adaptive()
    made.unseen, made.state.agreement = None, 0.9
    made._set_view_strength()
    assert made.state.view_strength == 1.0
    other = flywheel()
    other.start_cycles()
    other.unseen, other.state.agreement = HALF, 0.9
    other._set_view_strength()
    assert other.state.view_strength == 1.0 and other.loader.views.strength is None


def test_strength_and_what_decides_it_are_part_of_a_saved_state():
    made, other = adaptive(), adaptive()
    made.state.agreement = 0.9
    made._set_view_strength()
    other.unseen = None
    assert type(made.state_dict()["unseen"]) is tuple  # plain values, for checkpoints
    other.load_state_dict(made.state_dict())
    assert other.unseen == HALF and other.state.agreement == 0.9
    assert other.state.view_strength == other.loader.views.strength == pytest.approx(1.15)


def test_a_state_of_before_comes_back_without():
    made = adaptive()
    saved = made.state_dict()
    del saved["unseen"], saved["state"]["view_strength"], saved["state"]["agreement"]
    made.load_state_dict(saved)
    assert made.unseen is None and made.state.view_strength == 1.0


def test_the_end_says_what_was_decided():
    made = adaptive()
    made.state.agreement = 0.9
    made._set_view_strength()
    made._record_decisions()
    (found,) = made.decisions
    assert found.decision == "view strength" and found.chosen == "1.15" and found.n_rows == 100
    assert (found.candidate, found.agreement) == ("seen", 0.9)
    assert (found.alternative, found.alternative_agreement) == ("unseen", 0.5)


# views


def test_noise_follows_the_strength_in_both_views():
    x = torch.randn(400, 30, generator=torch.Generator().manual_seed(1))
    views = VectorViews(mask=0.0).fit(x)
    for view in (views.weak, views.strong):
        views.strength_ = 1.0
        usual = view(x, torch.Generator().manual_seed(0)) - x
        views.strength_ = 0.5
        assert_close(view(x, torch.Generator().manual_seed(0)) - x, usual / 2, rtol=1e-3, atol=1e-5)


def test_noise_that_was_asked_for_stays_as_it_is():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    assert not hasattr(VectorViews(noise=0.7).fit(x), "strength_")
    assert VectorViews().fit(x).strength_ == 1.0
    views = VectorViews(noise=0.7).fit(x)
    assert_close((views.weak(x, torch.Generator().manual_seed(0)) - x).std(0), 0.7 * views.scale_, rtol=0.4, atol=0)


# fits


def fitted(X, y, **params):
    return FlywheelClassifier(**{"n_folds": 1, "n_cycles": 12, "random_state": 0} | params).fit(X, y)


def test_views_that_hide_the_classes_become_weaker():
    """Two classes a third of the spread of their thirty other features apart: noise of that size hides them."""
    X, true = make_blobs(600, 30, centers=[[-1.0] * 30, [1.0] * 30], cluster_std=4.0, random_state=0)
    clf = fitted(X, true)
    found = clf.decisions_.set_index("decision").loc["view strength"]
    assert float(found["chosen"]) < 1 and clf.history_["view_strength"].iloc[0] == 1
    assert clf.history_["view_strength"].is_monotonic_decreasing


def test_labels_learnt_by_heart_make_views_stronger():
    """Random labels of few rows in many features can only be learnt by heart."""
    rng = torch.Generator().manual_seed(0)
    X, y = torch.randn(300, 100, generator=rng).numpy(), torch.randint(2, (300,), generator=rng).numpy()
    with pytest.warns(FlywheelWarning, match="labels may be useless"):
        clf = fitted(X, y)
    assert clf.history_["view_strength"].max() > 1


def test_a_fit_that_needs_no_change_has_none():
    X, true = load_digits(return_X_y=True)
    clf = fitted(X[:900], symmetric(true[:900], 0.3, random_state=0))
    assert (clf.history_["view_strength"] == 1).all()


def test_where_classes_have_few_rows_each_weaker_views_come_first():
    """Eighty classes of a dozen rows: the fifth neighbour is often of another class."""
    X, true = make_blobs(1000, 64, centers=80, center_box=(-1, 1), cluster_std=0.8, random_state=0)
    found = fitted(X, true, n_cycles=2)
    assert found.history_["view_strength"].iloc[0] < 0.8


def test_what_was_tried_after_the_warm_up_leaves_nothing_behind(monkeypatch):
    """Views as strong as usual win on digits with wrong labels: the fit is that without a trial."""
    X, true = load_digits(return_X_y=True)
    X, given = X[:600], symmetric(true[:600], 0.3, random_state=0)
    tried = fitted(X, given, n_cycles=3)
    monkeypatch.setattr(WarmUp, "try_views", lambda warm_up: best_of_warm_up(warm_up.records))
    plain = fitted(X, given, n_cycles=3)
    assert (tried.clean_proba_ == plain.clean_proba_).all()
    assert (tried.predict_proba(X) == plain.predict_proba(X)).all()
    assert tried.aux_net_.history[:, "epoch"] == plain.aux_net_.history[:, "epoch"]


def test_nets_with_callbacks_train_no_epochs_that_are_undone(monkeypatch):
    monkeypatch.setattr(WarmUp, "_record_after", lambda *args: pytest.fail("epochs that are undone"))
    net = NeuralNetClassifier(MLP, criterion=torch.nn.CrossEntropyLoss, train_split=None, callbacks=[EpochTimer()])
    X, true = load_digits(return_X_y=True)
    fitted(X[:300], true[:300], aux_net=net, n_cycles=1)


def test_nothing_is_decided_of_noise_that_was_asked_for():
    X, true = load_digits(return_X_y=True)
    clf = fitted(X[:300], true[:300], views=VectorViews(noise=0.5))
    assert "view strength" not in set(clf.decisions_["decision"])
    assert (clf.history_["view_strength"] == 1).all()


def test_a_fit_goes_on_with_the_strength_that_it_had(tmp_path, monkeypatch):
    class Death(Exception):
        pass

    def die(wheel, row):
        if row["cycle"] == 4:
            raise Death

    monkeypatch.setattr("noisyflywheel.loop.watch.checkpoints.SHARE", 1e9)
    monkeypatch.setattr(view_strength, "LEARNT_BY_HEART", 0.0)
    monkeypatch.setattr(view_strength, "CHANCE_ABOVE", 0.0)
    X, true = load_digits(return_X_y=True)
    X, given = X[:300], symmetric(true[:300], 0.3, random_state=0)
    short = {"n_cycles": 7}
    whole = fitted(X, given, **short)
    assert (whole.history_["view_strength"] != 1).any()
    with pytest.raises(Death):
        fitted(X, given, **short, checkpoint_dir=tmp_path, on_cycle=die)
    again = fitted(X, given, **short, checkpoint_dir=tmp_path)
    assert (again.clean_proba_ == whole.clean_proba_).all()
    assert again.history_["view_strength"].tolist() == whole.history_["view_strength"].tolist()
