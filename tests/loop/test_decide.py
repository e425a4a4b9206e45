"""Decisions by held-out labels, by hand."""

import math

import pytest
import torch
from scipy.stats import norm

from noisyflywheel.loop.decide import compare, log_likelihood, sign_test


def test_sign_test_by_hand():
    first = torch.tensor([True] * 9 + [False] * 4)
    second = torch.tensor([False] * 9 + [True] * 4)
    assert sign_test(first, second) == pytest.approx(5 / math.sqrt(13))
    assert sign_test(first, first) == 0


def predictions(classes):
    return torch.nn.functional.one_hot(torch.tensor(classes), 2) * 0.8 + 0.1


def test_a_candidate_counts_as_much_as_it_is_surely_better():
    given = torch.zeros(20, dtype=torch.int64)
    better = compare("labels", "new", "old", predictions([0] * 20), predictions([1] * 9 + [0] * 11), given)
    assert better.chosen == "new" and better.z == pytest.approx(3.0)
    assert better.share == pytest.approx(norm.cdf(2.0))
    assert (better.agreement, better.alternative_agreement, better.n_rows) == (1.0, 0.55, 20)
    same = compare("labels", "new", "old", predictions([0] * 20), predictions([0] * 20), given)
    assert same.chosen == "old" and same.share == pytest.approx(norm.cdf(-1.0))
    worse = compare("labels", "new", "old", predictions([1] * 9 + [0] * 11), predictions([0] * 20), given)
    assert worse.chosen == "old" and worse.share < 1e-4


def test_a_candidate_that_may_lose_counts_more():
    given = torch.zeros(20, dtype=torch.int64)
    same = compare("labels", "new", "old", predictions([0] * 20), predictions([0] * 20), given, needs=-1.0)
    assert same.chosen == "new" and same.share == pytest.approx(norm.cdf(1.0))


def test_log_likelihood_by_hand():
    prob = torch.tensor([[0.5, 0.5], [0.9, 0.1]])
    assert log_likelihood(prob, torch.tensor([0, 1])) == pytest.approx((math.log(0.5) + math.log(0.1)) / 2)
