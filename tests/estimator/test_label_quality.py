"""Probabilities that given labels are right, by hand."""

import numpy as np
import torch
from torch.testing import assert_close

from noisyflywheel.em import bayes_posterior, mean_posterior
from noisyflywheel.estimator.label_quality import calibrated

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


def test_bayes_posterior_of_a_label_that_cannot_be_is_fs_own():
    never = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    f = torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    assert_close(bayes_posterior(f, never, torch.tensor([1])), torch.tensor([0.7], dtype=torch.float64))


def test_bayes_posterior_is_a_probability():
    """Rounding may lift it above 1."""
    f = torch.tensor([[1.0 + 1e-9, 0.0]], dtype=torch.float64)
    assert float(bayes_posterior(f, torch.eye(2, dtype=torch.float64) * (1 + 1e-9), torch.tensor([0]))) == 1.0


def test_calibrated_by_hand():
    """The second and third row are out of order: they share the mean of their posteriors, .5."""
    quality, posterior = np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.0, 0.7, 0.3, 1.0])
    level, rank = np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(calibrated(quality, posterior), 0.999 * level + 0.001 * rank)


def test_calibrated_has_the_order_of_the_one_and_the_level_of_the_other():
    rng = np.random.default_rng(0)
    quality, posterior = rng.random(200), rng.random(200)
    clean = calibrated(quality, posterior)
    assert np.array_equal(np.argsort(clean), np.argsort(quality))
    assert abs(clean.mean() - posterior.mean()) < 1e-3
    assert clean.min() >= 0 and clean.max() <= 1


def test_calibrated_leaves_no_probability_below_0_or_above_1():
    clean = calibrated(np.array([0.1, 0.9]), np.array([-0.5, 1.5]))
    np.testing.assert_allclose(clean, [0.0005, 1.0])


def test_equal_scores_stay_equal():
    clean = calibrated(np.array([0.5, 0.5, 0.1]), np.array([0.2, 0.8, 0.0]))
    assert clean[0] == clean[1] > clean[2]
