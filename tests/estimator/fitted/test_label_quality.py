"""The clean probability: the order of the ranking score on the level of a posterior, by hand."""

import numpy as np

from noisyflywheel.estimator.fitted.label_quality import calibrated, rank_among


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


def test_rows_without_weight_have_no_say():
    rng = np.random.default_rng(0)
    quality, posterior = rng.random(60), rng.random(60)
    weight = np.r_[np.ones(40), np.zeros(20)]
    clean = calibrated(quality, posterior, weight)
    np.testing.assert_array_equal(clean[:40], calibrated(quality[:40], posterior[:40]))
    posterior[40:] = 1 - posterior[40:]
    np.testing.assert_array_equal(clean, calibrated(quality, posterior, weight))


def test_rows_without_weight_beyond_all_others_are_as_the_last_of_these():
    quality, posterior = np.array([0.2, 0.8, 0.1, 0.9]), np.array([0.3, 0.7, 0.0, 1.0])
    clean = calibrated(quality, posterior, np.array([1.0, 1.0, 0.0, 0.0]))
    low, high = 0.999 * 0.3 + 0.001 * 0.5, 0.999 * 0.7 + 0.001
    np.testing.assert_allclose(clean, [low, high, low, high])


def test_a_weight_counts_as_copies():
    rng = np.random.default_rng(0)
    quality, posterior, counts = rng.random(50), rng.random(50), rng.integers(1, 4, 50)
    copies = calibrated(quality.repeat(counts), posterior.repeat(counts))
    weighted = calibrated(quality, posterior, counts.astype(float))
    np.testing.assert_allclose(weighted, copies[np.cumsum(counts) - 1], rtol=1e-12)


def test_rank_among_by_hand():
    found = rank_among(np.array([0.1, 0.4, 0.9, 2.0]), np.array([0.1, 0.9, 0.9]), np.array([2.0, 1.0, 1.0]))
    np.testing.assert_allclose(found, [1.5 / 4, (1.5 + 0.375 * 2) / 4, 3.5 / 4, 3.5 / 4])
