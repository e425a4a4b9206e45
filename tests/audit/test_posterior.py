import numpy as np
import torch
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from noisyflywheel import em
from noisyflywheel.audit.posterior import (
    fit_temperature,
    given_likelihood,
    noisy_class_posterior,
    sharpen,
    true_class_posterior,
)

T = np.array([[0.8, 0.2], [0.4, 0.6]])


def test_the_true_class_of_a_classifier_of_noisy_labels():
    """As `noisyflywheel.em.averaged_posterior`, and finite where a forest gives a label no vote at all."""
    proba, given = np.array([[0.9, 0.1], [1.0, 0.0], [0.2, 0.8]]), np.array([0, 1, 1])
    clean, posterior, matrix = noisy_class_posterior(proba, given)
    floored = torch.from_numpy((proba + 0.001) / 1.002)
    found = em.averaged_posterior(floored, torch.from_numpy(given))
    np.testing.assert_array_equal(posterior, found.refurbished)
    np.testing.assert_array_equal(clean, found.guess)
    np.testing.assert_array_equal(matrix, found.transition)
    assert posterior[1, 1] > 0


def test_sharpen_by_hand():
    np.testing.assert_allclose(sharpen(np.array([[0.8, 0.2]]), 0.5), [[0.64 / 0.68, 0.04 / 0.68]])
    np.testing.assert_allclose(sharpen(np.array([[0.8, 0.2]]), 1.0), [[0.8, 0.2]])


def test_bayes_by_hand():
    clean = np.array([[0.5, 0.5]])
    np.testing.assert_allclose(given_likelihood(clean, T, np.array([1])), [0.4])
    np.testing.assert_allclose(true_class_posterior(clean, T, np.array([1])), [[0.25, 0.75]])


def test_an_impossible_label_keeps_the_prediction():
    got = true_class_posterior(np.array([[1.0, 0.0]]), np.eye(2), np.array([1]))
    np.testing.assert_allclose(got, [[1.0, 0.0]])


def test_temperature_sharpens_underconfident_rows():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 500)
    given = np.where(rng.random(500) < 0.2, 1 - true, true)
    proba = np.where(np.eye(2)[true] == 1, 0.6, 0.4)
    flip = np.array([[0.8, 0.2], [0.2, 0.8]])
    assert fit_temperature(proba, flip, given) < 0.3


@settings(max_examples=50, deadline=None)
@cases(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 40))
def test_posteriors_are_distributions(seed, n_classes, n):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 0.3), n)
    codes = rng.integers(0, n_classes, n)
    clean, posterior, matrix = noisy_class_posterior(proba, codes)
    for rows in (clean, posterior, matrix):
        assert (rows >= 0).all()
        np.testing.assert_allclose(rows.sum(axis=1), 1)
