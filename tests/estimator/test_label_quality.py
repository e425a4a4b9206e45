"""Probabilities that given labels are right, by hand."""

import torch
from torch.testing import assert_close

from noisyflywheel.estimator.label_quality import bayes_posterior, mean_posterior

T = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def test_mean_posterior():
    assert_close(mean_posterior(torch.tensor([0.5, 1.0]), torch.tensor([0.2, 0.0])), torch.tensor([0.6, 1.0]))


def test_bayes_posterior():
    f = torch.tensor([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]], dtype=torch.float64)
    given = torch.tensor([0, 1, 0])
    expected = [0.48 / (0.48 + 0.03), 0.27 / (0.27 + 0.12), 0.0]  # the last: class 2 is never labelled 0
    assert_close(bayes_posterior(f, T, given), torch.tensor(expected, dtype=torch.float64))


def test_bayes_posterior_without_errors_believes_every_label():
    f = torch.tensor([[0.2, 0.8], [1e-300, 1.0]], dtype=torch.float64)
    given = torch.tensor([0, 0])
    assert_close(bayes_posterior(f, torch.eye(2, dtype=torch.float64), given), torch.ones(2, dtype=torch.float64))
