"""Candidates compared by held-out labels, by hand."""

import math

import pytest
import torch

from noisyflywheel.loop.decisions.decide import Decision, compare, log_likelihood, sign_test


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


def test_sign_test_by_hand():
    assert sign_test(flags(1, 1, 1, 0, 1), flags(0, 0, 0, 1, 1)) == 1.0  # three won, one lost: 2 / sqrt(4)
    assert sign_test(flags(0, 1), flags(1, 1)) == -1.0
    assert sign_test(flags(1, 0), flags(1, 0)) == 0.0


def test_log_likelihood_by_hand():
    prob = torch.tensor([[0.8, 0.2], [0.4, 0.6], [1.0, 0.0]])
    value = log_likelihood(prob, torch.tensor([0, 0, 1]))
    assert isinstance(value, float)
    assert value == pytest.approx((math.log(0.8) + math.log(0.4) + math.log(1e-30)) / 3, rel=1e-6)


GIVEN = torch.tensor([0, 0, 0, 0, 1])
BETTER = torch.tensor([[0.9, 0.1]] * 3 + [[0.4, 0.6]] + [[0.2, 0.8]])
"""Right in four rows."""

WORSE = torch.tensor([[0.3, 0.7]] * 3 + [[0.6, 0.4]] + [[0.2, 0.8]])
"""Right in two, one of which is the other's wrong one."""


def test_a_candidate_that_wins_one_standard_deviation_counts_half():
    found = compare("labels", "new", "old", BETTER, WORSE, GIVEN)
    assert (found.decision, found.chosen, found.candidate, found.alternative) == ("labels", "old", "new", "old")
    assert found.z == 1.0 and found.share == 0.5 and "unseen rows" in found.reason
    assert all(isinstance(value, float) for value in (found.agreement, found.alternative_agreement))
    assert found.agreement == pytest.approx(0.8) and found.alternative_agreement == pytest.approx(0.4)
    assert found.log_likelihood == pytest.approx((3 * math.log(0.9) + math.log(0.4) + math.log(0.8)) / 5)
    other = (3 * math.log(0.3) + math.log(0.6) + math.log(0.8)) / 5
    assert found.alternative_log_likelihood == pytest.approx(other) and found.n_rows == 5


def test_the_alternative_stays_where_the_candidate_is_worse_or_no_better():
    found = compare("labels", "new", "old", WORSE, BETTER, GIVEN)
    assert found.chosen == "old" and found.share == pytest.approx(0.02275013)  # of a normal below -2
    tie = compare("labels", "new", "old", WORSE, WORSE, GIVEN)
    assert tie.chosen == "old" and tie.share == pytest.approx(0.1586553)


def test_a_candidate_that_is_clearly_better_is_chosen():
    sure, wrong = torch.tensor([[0.9, 0.1]] * 9), torch.tensor([[0.1, 0.9]] * 9)
    found = compare("labels", "new", "old", sure, wrong, torch.zeros(9, dtype=torch.int64))
    assert found.chosen == "new" and found.z == 3.0 and found.share == pytest.approx(0.9772499)


def test_a_candidate_that_may_lose_counts_more():
    tie = compare("labels", "new", "old", WORSE, WORSE, GIVEN, needs=-1.0)
    assert tie.chosen == "new" and tie.share == pytest.approx(1 - 0.1586553)


def test_a_decision_without_candidates_has_no_figures():
    found = Decision("views", "none")
    assert found.share == 1.0 and found.n_rows == 0 and (found.reason, found.candidate, found.alternative) == ("",) * 3
    figures = (found.agreement, found.alternative_agreement, found.z)
    assert all(map(math.isnan, (*figures, found.log_likelihood, found.alternative_log_likelihood)))
