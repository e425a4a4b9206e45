import numpy as np
import pytest
import torch
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from noisyflywheel.audit.posterior import (
    TEMPERATURES,
    by_confident_learning,
    confident_joint,
    deconvolve,
    fit_temperature,
    given_likelihood,
    noisy_class_posterior,
    sharpen,
    shrink_confusions,
    transition_from_joint,
    true_class_posterior,
)

T = np.array([[0.8, 0.2], [0.4, 0.6]])


def test_confident_joint_by_hand():
    proba = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.9, 0.1], [0.1, 0.9]])
    given = np.array([0, 0, 0, 1, 1])
    # thresholds: class 0 (.9+.7+.2)/3 = .6, class 1 (.1+.9)/2 = .5 -> true 0, 0, 1, 0, 1
    np.testing.assert_allclose(confident_joint(proba, given), [[2, 1], [1, 1]])


def test_confident_joint_of_unsure_rows_scales_to_the_given_counts():
    proba = np.array([[0.9, 0.1], [0.45, 0.55], [0.1, 0.9], [0.1, 0.9]])
    given = np.array([0, 0, 1, 1])  # thresholds .675 and .9: row 1 counts nowhere
    np.testing.assert_allclose(confident_joint(proba, given), [[2, 0], [0, 2]])


def test_a_class_nobody_was_given():
    joint = confident_joint(np.array([[0.6, 0.4], [0.5, 0.5]]), np.array([0, 0]))
    np.testing.assert_allclose(joint.sum(), 2)
    np.testing.assert_allclose(transition_from_joint(joint).sum(axis=1), 1)


def test_transition_from_joint_by_hand():
    got = transition_from_joint(np.array([[3.0, 1.0], [0.0, 0.0]]), pseudo_count=0)
    np.testing.assert_allclose(got, [[0.75, 0.25], [0, 1]])


def test_even_confusions_are_evened_out():
    joint = np.array([[9.0, 1, 2], [2, 9, 1], [1, 2, 9]])  # off the diagonal: mean 1.5, variance 6 * .25 / 3
    np.testing.assert_allclose(shrink_confusions(joint)[0], [9, 1.5, 1.5])


def test_real_confusions_stay():
    joint = np.array([[9.0, 40, 0], [0, 9, 40], [40, 0, 9]])  # mean 20, variance 6 * 400 / 3 = 800
    weight = 1 - 20 / 800
    np.testing.assert_allclose(shrink_confusions(joint)[0], [9, 20 + 20 * weight, 20 - 20 * weight])
    np.testing.assert_allclose(shrink_confusions(joint).sum(axis=1), joint.sum(axis=1))
    np.testing.assert_allclose(shrink_confusions(joint[:2, :2]), joint[:2, :2])


def test_one_step_of_the_deconvolution_by_hand():
    # clean = (.5, .5) -> image (.6, .4); proba/image = (1, 1) -> unchanged
    np.testing.assert_allclose(deconvolve(np.array([[0.6, 0.4]]), T, 1), [[0.5, 0.5]])


def test_deconvolution_finds_the_true_class():
    clean = np.array([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    np.testing.assert_allclose(deconvolve(clean @ T, T, 3000), clean, atol=1e-3)


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


def test_votes_of_a_forest_on_digits_of_turned_pairs():
    """Errors of 40 % in five pairs of digits: without the T of confident rows AUROC is .95."""
    X, true = load_digits(return_X_y=True)
    turned, rng = np.array([0, 1, 7, 8, 4, 6, 5, 1, 8, 9]), np.random.default_rng(0)
    given = np.where(rng.random(true.size) < 0.4, turned[true], true)
    proba = cross_val_predict(RandomForestClassifier(60, random_state=0), X, given, method="predict_proba")
    posterior = noisy_class_posterior(proba, given)[1]
    assert roc_auc_score(given == true, posterior[np.arange(true.size), given]) > 0.97


def test_confident_learning_is_one_of_the_explanations():
    """Its score is the likelihood of the given labels less the price of a T."""
    proba = np.array([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6], [0.1, 0.9]])
    given = np.array([0, 1, 1, 1])
    weight = np.array([1.0, 2.0, 1.0, 0.5])
    T = transition_from_joint(shrink_confusions(confident_joint(proba, given)))
    found = list(by_confident_learning(*map(torch.from_numpy, (proba, given, weight))))
    assert len(found) == len(TEMPERATURES)
    for explanation, temperature in zip(found, TEMPERATURES, strict=True):
        clean = sharpen(deconvolve(proba, T), temperature)
        np.testing.assert_allclose(explanation.guess(torch.from_numpy(proba)), clean)
        np.testing.assert_allclose(explanation.transition, T)
        assert float(explanation.score) == pytest.approx((np.log((clean @ T)[np.arange(4), given]) * weight).sum() - 4)
