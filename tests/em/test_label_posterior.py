"""Probability that a given label is the true class, by hand."""

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.em import bayes_posterior, mean_posterior

T = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def test_mean_posterior():
    found = mean_posterior(torch.tensor([0.5, 1.0, 0.0, 0.25]), torch.tensor([0.2, 0.0, 0.3, 0.4]))
    assert_close(found, torch.tensor([0.6, 1.0, 0.3, 0.55]))


def test_bayes_posterior():
    f = torch.tensor([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]], dtype=torch.float64)
    given = torch.tensor([0, 1, 0])
    expected = [0.48 / (0.48 + 0.03), 0.27 / (0.27 + 0.12), 0.0]  # the last: class 2 is never labelled 0
    assert_close(bayes_posterior(f, T, given), torch.tensor(expected, dtype=torch.float64))


def test_bayes_posterior_without_errors_believes_every_label():
    f = torch.tensor([[0.2, 0.8], [1e-20, 1.0]], dtype=torch.float64)
    given = torch.tensor([0, 0])
    assert_close(bayes_posterior(f, torch.eye(2, dtype=torch.float64), given), torch.ones(2, dtype=torch.float64))


def test_bayes_posterior_of_a_label_that_cannot_be_is_fs_own():
    never = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    f = torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    assert float(bayes_posterior(f, never, torch.tensor([1]))) == pytest.approx(0.7)
