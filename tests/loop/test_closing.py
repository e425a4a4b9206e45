"""What the last E-step says, from states made by hand."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from noisyflywheel import em
from noisyflywheel.loop.closing import TEMPERATURES, Closing, close_cycles, close_unseen, log_odds, mixed, ranked_with
from noisyflywheel.loop.state import FlywheelState

GIVEN = torch.tensor([0, 1, 1])
F_PROB = torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def drawn(prob, rng):
    """A class of each row, drawn from its distribution."""
    return (prob.cumsum(1) < torch.from_numpy(rng.random((len(prob), 1)))).sum(1)


Q = double(0.5, 0.0, 0.25)
REFURBISHED = double([0.75, 0.25], [0.25, 0.75], [0.75, 0.25])
T = double([0.8, 0.2], [0.3, 0.7])


@pytest.fixture
def state():
    """After three cycles, the later two of which count; the last row was in none of those."""
    s = FlywheelState.start(GIVEN, 2, 0.7)
    s.q, s.f_prob = Q.clone(), F_PROB.clone()
    s.quality_sum, s.n_scored = double(1.5, 0.6, 0.0), double(3, 3, 0)
    s.q_sum, s.f_given_sum, s.n_late = double(0.8, 0.2, 0.0), double(1.0, 1.6, 0.0), double(2, 2, 0)
    s.transition, s.corruption = T.clone(), double([0.1, 0.9], [0.6, 0.4])
    return s


def test_the_end_of_the_cycles_by_hand(state):
    found = close_cycles(state)
    assert_close(found.quality, double(0.5, 0.2, 0.0))
    assert_close(found.refurbished, REFURBISHED)
    assert_close(found.transition, double([0.75 / 1.75, 1 / 1.75], [0.2, 0.8]))
    assert_close(found.corruption, double([0.2, 0.8], [0.25, 0.75]))
    assert found.predicted.tolist() == [0, 1, 0]
    assert_close(found.confidence, torch.tensor([0.5, 0.75, 1.0]))
    assert isinstance(found.clean_rate, float) and found.clean_rate == pytest.approx(0.7)
    assert torch.equal(state.f_prob, F_PROB)


def test_clean_posterior_is_seven_tenths_eq_11_and_three_tenths_bayes_rule(state):
    """Means of the later cycles: q .4, .1 and f .5, .8; the row that none of them saw has Eq. (11) of now."""
    found = close_cycles(state)
    eq_11 = double(0.4 + 0.6 * 0.5, 0.1 + 0.9 * 0.8, 0.25)
    bayes = em.bayes_posterior(F_PROB.double(), found.transition, GIVEN)
    assert_close(bayes, double(0.75 / 1.75 / (0.75 / 1.75 + 0.2), 0.6 / (0.6 + 0.25 / 1.75), 0.0))
    assert_close(found.posterior, 0.7 * eq_11 + 0.3 * bayes)


def test_rows_are_averaged_over_the_cycles_that_saw_them(state):
    state.q[2] = 0.5
    state.quality_sum, state.n_scored = double(1.5, 0.6, 0.0), double(3, 1, 0)
    state.q_sum, state.f_given_sum, state.n_late = double(0.8, 0.1, 0.0), double(1.0, 0.8, 0.0), double(2, 1, 0)
    found = close_cycles(state)
    assert_close(found.quality, double(0.5, 0.6, 0.0))
    bayes = em.bayes_posterior(F_PROB.double(), found.transition, GIVEN)
    assert_close(found.posterior, 0.7 * double(0.4 + 0.6 * 0.5, 0.1 + 0.9 * 0.8, 0.5) + 0.3 * bayes)


def test_weights_count_in_both_matrices(state):
    found = close_cycles(state, double(1.0, 2.0, 0.0))
    assert_close(found.transition, double([0.6, 0.4], [1 / 7, 6 / 7]))
    assert_close(found.corruption, double([1 / 3, 2 / 3], [1 / 7, 6 / 7]))
    assert_close(found.quality, double(0.5, 0.2, 0.0))


def test_rounding_leaves_no_quality_below_0_or_above_1_and_rows_that_sum_to_1(state):
    state.quality_sum = double(3.0000001, -1e-9, 0.0)
    state.f_prob = F_PROB * 1.0001
    found = close_cycles(state)
    assert found.quality.tolist() == [1.0, 0.0, 0.0]
    assert_close(found.refurbished.sum(1), double(1, 1, 1), rtol=1e-15, atol=1e-15)


def test_unseen_rows_are_judged_by_the_matrix_they_speak_for():
    prob, T_c = torch.tensor([[0.6, 0.4]]).repeat(8, 1), double([0.1, 0.9], [0.6, 0.4])
    given, weights = torch.tensor([0] * 6 + [1] * 2), double(*[0.5] * 6, *[2.5] * 2)
    for w in (None, weights):
        found = close_unseen(prob, given, T_c, w)
        refurbished, T, _ = em.averaged_posterior(prob, given, w, TEMPERATURES)
        assert not torch.equal(T, em.averaged_posterior(prob, given, w).transition), "temperatures matter here"
        assert torch.equal(found.refurbished, refurbished) and torch.equal(found.transition, T)
        assert_close(found.posterior, refurbished[torch.arange(8), given])
        assert found.corruption is T_c
        assert found.predicted.tolist() == [0] * 8
        assert_close(found.confidence, torch.full((8,), 0.6))
        assert isinstance(found.clean_rate, float)
        assert found.clean_rate == pytest.approx(np.average(found.posterior, weights=w))


def test_errors_of_one_class_are_found_where_members_are_far_less_sure_than_right():
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(3 * np.eye(3)[rng.integers(3, size=6_000)] + rng.normal(size=(6_000, 3)))
    prob = torch.softmax(2 * scores, 1)
    true = drawn(prob, rng)
    T = double([0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    given = drawn(T[true], rng)
    of_members = torch.softmax(0.8 * scores, 1) @ T  # at 2.5 times the temperature
    found, wrong = close_unseen(of_members, given, T), given != true
    suspected, at_best = found.posterior < 0.5, em.bayes_posterior(prob, T, given) < 0.5
    share = 1 / int(wrong.sum())
    assert share * int((suspected & wrong).sum()) > share * int((at_best & wrong).sum()) - 0.01 > 0.9
    assert share * int((suspected & ~wrong).sum()) < share * int((at_best & ~wrong).sum()) + 0.01 < 0.1
    assert_close(found.transition, T, rtol=0, atol=0.03)


def test_given_labels_to_expect_go_through_the_division(state):
    guess = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    found = close_cycles(state)
    assert found.labelled(guess) is guess
    found = found._replace(division=double([0.6, 0.4], [0.0, 1.0]))
    assert_close(found.labelled(guess), double([0.6, 0.4], [0.15, 0.85]))


def test_the_score_of_unseen_rows_counts_the_matrix_once():
    prob, given = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]), torch.tensor([0, 1, 0, 0])
    before, after = (
        close_unseen(prob, given, torch.eye(2)),
        close_unseen(prob, given, torch.eye(2), of_refurbished=True),
    )
    own = double(0.9, 0.6, 0.2, 0.7)
    assert_close(after.quality, own, rtol=1e-6, atol=0)
    odds = (own / (1 - own) * before.posterior / (1 - before.posterior)).sqrt()
    assert_close(before.quality, odds / (1 + odds), rtol=1e-6, atol=0)
    assert torch.equal(before.posterior, after.posterior)


def closing(value, quality):
    """Everything is ``value`` but the ranking score."""
    grid = torch.full((2, 2), value, dtype=torch.float64)
    rows = double(value, value)
    return Closing(torch.tensor([0, 0]), rows, grid, double(*quality), rows, grid, grid, value)


def test_mixed_by_hand():
    after, before = closing(0.8, [0.9, 0.5]), closing(0.4, [0.6, 0.2])
    for share in (0.0, 0.25, 1.0):
        found = mixed(after, before, share, double([0.3, 0.7], [0.6, 0.4]))
        assert found.predicted.tolist() == [1, 0]
        assert_close(found.confidence, double(0.7, 0.6))
        mean = 0.4 + 0.4 * share
        for name in ("refurbished", "posterior", "transition", "corruption"):
            assert_close(getattr(found, name), torch.full_like(getattr(found, name), mean))
        assert found.clean_rate == pytest.approx(mean)
        for at, (late, early) in enumerate([(9.0, 1.5), (1.0, 0.25)]):  # odds
            odds = (late**share * early) ** (1 / (1 + share))
            assert float(found.quality[at]) == pytest.approx(odds / (1 + odds))


def test_log_odds_are_finite():
    assert_close(log_odds(double(0.0, 0.5, 0.75, 1.0)), double(math.log(1e-9), 0, math.log(3), -math.log(1e-9)))


def test_another_judge_is_a_third_of_the_ranking_score():
    """Log odds 0 and log 3 have the mean log(3) / 3; shares of 0 and 1 stand for half a vote of fifty."""
    quality, said = torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64), torch.tensor([0.75, 0.0, 1.0])
    odds = torch.logit(ranked_with(quality, said, 50))
    torch.testing.assert_close(odds, torch.tensor([3.0, 1 / 99, 99.0], dtype=torch.float64).log() / 3)
    of_itself = ranked_with(torch.tensor([0.2, 0.7]), torch.tensor([0.2, 0.7]), 50)
    torch.testing.assert_close(of_itself, torch.tensor([0.2, 0.7]))
