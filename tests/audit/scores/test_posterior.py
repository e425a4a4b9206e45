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

from noisyflywheel.audit.scores import posterior as posterior_room
from noisyflywheel.audit.scores.posterior import (
    GRID,
    confident_joint,
    confident_posterior,
    divided_by_few,
    noisy_class_posterior,
    posterior_of_known,
    share_of_confident,
    shrink_confusions,
    transition_from_joint,
)
from noisyflywheel.em import sharpness
from noisyflywheel.em.division import divided_out
from noisyflywheel.em.sharpness import averaged_posterior
from noisyflywheel.estimator.auto.separability import Separability

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
    np.testing.assert_allclose(confident_joint(proba[:, ::-1], 1 - given), [[2, 0], [0, 2]])


def test_a_row_sure_of_two_classes_counts_for_the_likelier_one():
    proba = np.array([[0.65, 0.35], [0.65, 0.35], [0.7, 0.3], [0.8, 0.2]])
    given = np.array([0, 0, 1, 1])  # thresholds .65 and .25: no row is taken for class 1
    np.testing.assert_allclose(confident_joint(proba, given), [[2, 2], [0, 0]])
    np.testing.assert_allclose(confident_joint(proba[:, ::-1], 1 - given), [[0, 0], [2, 2]])


def test_one_row_of_a_class_sets_its_threshold():
    proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.25, 0.75], [0.55, 0.45], [0.3, 0.7]])
    given = np.array([0, 0, 0, 0, 1])  # thresholds .625 and .7: row 3 counts nowhere
    np.testing.assert_allclose(confident_joint(proba, given), [[8 / 3, 0], [4 / 3, 1]])


def test_rows_as_sure_as_the_mean_are_sure_whatever_rounding_makes_of_it():
    """In binary the mean of three times .8 is above .8."""
    proba, given = np.array([[0.8, 0.2]] * 4 + [[0.3, 0.7]]), np.array([0, 0, 0, 1, 1])
    np.testing.assert_allclose(confident_joint(proba, given), [[3, 1], [0, 1]])


def test_a_class_nobody_was_given():
    """Nor is any row taken for it: of the two rows only the second one reaches the threshold .45 of class 0."""
    joint = confident_joint(np.array([[0.4, 0.6], [0.5, 0.5]]), np.array([0, 0]))
    np.testing.assert_allclose(joint, [[2, 0], [0, 0]])
    np.testing.assert_allclose(transition_from_joint(joint).sum(axis=1), 1)


def test_transition_from_joint_by_hand():
    got = transition_from_joint(np.array([[3.0, 1.0], [0.0, 0.0]]), pseudo_count=0)
    np.testing.assert_allclose(got, [[0.75, 0.25], [0, 1]])
    got = transition_from_joint(np.array([[3.0, 0.0], [0.0, 0.0]]))  # a thousandth of a row more in each class
    np.testing.assert_allclose(got, [[3.0005 / 3.001, 0.0005 / 3.001], [0, 1]])


def test_even_confusions_are_evened_out():
    joint = np.array([[9.0, 1, 2], [2, 9, 1], [1, 2, 9]])  # off the diagonal: mean 1.5, variance 6 * .25 / 3
    np.testing.assert_allclose(shrink_confusions(joint)[0], [9, 1.5, 1.5])


def test_real_confusions_stay():
    joint = np.array([[9.0, 40, 0], [0, 9, 40], [40, 0, 9]])  # mean 20, variance 6 * 400 / 3 = 800
    weight = 1 - 20 / 800
    np.testing.assert_allclose(shrink_confusions(joint)[0], [9, 20 + 20 * weight, 20 - 20 * weight])
    np.testing.assert_allclose(shrink_confusions(joint).sum(axis=1), joint.sum(axis=1))
    np.testing.assert_allclose(shrink_confusions(joint[:2, :2]), joint[:2, :2])


def test_each_class_is_pulled_towards_its_own_mean_by_a_weight_of_all():
    """Means 2, 1, 1 and 0; squares 24, 0, 6 and 0 of 4 * 2 degrees of freedom: the weight is 1 - 1 / 3.75 = 11/15."""
    joint = np.array([[9.0, 6, 0, 0], [1, 9, 1, 1], [0, 0, 9, 3], [0, 0, 0, 9]])
    expected = np.array([[135, 74, 8, 8], [15, 135, 15, 15], [4, 4, 135, 37], [0, 0, 0, 135]]) / 15
    np.testing.assert_allclose(shrink_confusions(joint), expected)


@pytest.mark.parametrize("n_confused", [0, 3, 2000])
def test_a_matrix_of_few_confusions_is_divided_as_any_other(n_confused):
    """60 classes of even errors apart from some, more rows than are taken at a time."""
    rng = np.random.default_rng(n_confused)
    counts = np.full((60, 60), 0.01) + np.diag(np.full(60, 5.0))
    counts.flat[rng.permutation(3600)[:n_confused]] += 1
    T = counts / counts.sum(axis=1, keepdims=True)
    proba = rng.dirichlet(np.full(60, 0.1), 300)
    found = divided_by_few(proba, T)
    even = torch.full(proba.shape, 1 / 60, dtype=torch.float64)
    plain = divided_out(torch.from_numpy(proba), torch.from_numpy(T), 5, even)
    np.testing.assert_allclose(found, plain, rtol=1e-9)
    assert np.array_equal(found, plain) == (n_confused == 2000)  # too many to be taken apart


def test_confident_learning_by_hand():
    """Five divisions from even probabilities, then the temperature that makes the given labels most likely."""
    proba, given = np.array([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6], [0.1, 0.9]]), np.array([0, 1, 1, 1])
    T = transition_from_joint(shrink_confusions(confident_joint(proba, given)))
    divided = np.full((4, 2), 0.5)
    for _ in range(5):
        divided = divided * ((proba / (divided @ T)) @ T.T)
    tried = [divided ** (1 / tau) for tau in GRID]
    tried = [clean / clean.sum(axis=1, keepdims=True) for clean in tried]
    expected = max(tried, key=lambda clean: np.log((clean @ T)[np.arange(4), given]).sum())
    joint = expected * T[:, given].T
    clean, posterior, found = confident_posterior(proba, given)
    np.testing.assert_allclose(clean, expected)
    np.testing.assert_allclose(posterior, joint / joint.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, T)


def test_both_judges_count_by_how_far_classes_are_told_apart(monkeypatch):
    """Two standard errors below the bound of .77, and far from 0 and 1: half of Phi(-2) for confident learning."""
    told = Separability(0.6, 0.8, 0.67, 0.05)
    monkeypatch.setattr(posterior_room, "of_predictions", lambda *_: told)
    share = 0.5 * 0.02275013
    proba, given = np.array([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6], [0.1, 0.9]]), np.array([0, 1, 1, 1])
    one = averaged_posterior(torch.from_numpy(proba), torch.from_numpy(given), temperatures=GRID)
    other = confident_posterior(proba, given)
    clean, posterior, T = noisy_class_posterior(proba, given)
    for found, judges in (
        (clean, (one.guess, other[0])),
        (posterior, (one.refurbished, other[1])),
        (T, (one.transition, other[2])),
    ):
        np.testing.assert_allclose(found, (1 - share) * judges[0].numpy() + share * judges[1], rtol=1e-6)


def test_where_all_predictions_are_the_given_labels_both_judges_count_half():
    proba, given = 0.1 + 0.8 * np.eye(2)[[0, 1] * 40], np.array([0, 1] * 40)
    assert share_of_confident(proba, given) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (1.2, 0.0, 1.0),
        (1.2, 0.2, (0.5 - 0.12507) / 0.5),
        (0.76, 0.0, 0.0),
        (0.77, 1e-3, 0.5),
        (40.0, 1e6, 0.23),
        (0.87, 0.1, (0.9032 - 0.1587) / 0.9032),
    ],
)
def test_how_likely_it_is_that_classes_are_told_apart(monkeypatch, value, error, expected):
    """By the area of a normal density between .77 and 1, beside that between 0 and 1."""
    monkeypatch.setattr(posterior_room, "of_predictions", lambda *_: Separability(0.5, 0.5, value, error))
    assert share_of_confident(np.eye(2), np.array([0, 1])) == pytest.approx(expected / 2, abs=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_where_a_classifier_is_right_by_chance_few_labels_are_suspected(n_classes):
    """Predictions beside the labels: confident learning alone calls nearly half of them wrong."""
    rng = np.random.default_rng(3)
    proba, given = rng.dirichlet(np.full(n_classes, 40.0), 500), rng.integers(n_classes, size=500)
    rows = np.arange(500)
    assert (confident_posterior(proba, given)[1][rows, given] < 0.5).mean() > 0.4
    assert (noisy_class_posterior(proba, given)[1][rows, given] < 0.5).mean() < 0.15


def test_of_many_classes_confident_learning_judges_alone(monkeypatch):
    """More than two, of few rows; no class is impossible for a classifier that says so."""
    monkeypatch.setattr(posterior_room, "MANY_CLASSES", 2)
    proba, given = np.array([[0.7, 0.3, 0.0], [0.0, 0.4, 0.6]]), np.array([1, 2])
    floored = np.array([[0.7, 0.3, 0.001], [0.001, 0.4, 0.6]]) / 1.001
    for found, expected in zip(noisy_class_posterior(proba, given), confident_posterior(floored, given), strict=True):
        np.testing.assert_allclose(found, expected)
    proba, given = proba[:, :2] + 0.1, np.array([0, 1])
    proba /= proba.sum(axis=1, keepdims=True)
    assert not np.allclose(noisy_class_posterior(proba, given)[2], confident_posterior(proba, given)[2])


@pytest.mark.parametrize(("n_classes", "n_asked"), [(40, 1), (41, 0)])
def test_many_classes_are_more_than_forty(monkeypatch, n_classes, n_asked):
    asked = []
    monkeypatch.setattr(
        posterior_room, "averaged_posterior", lambda *args, **_: asked.append(args) or averaged_posterior(*args)
    )
    noisy_class_posterior(0.5 * np.eye(n_classes) + 0.5 / n_classes, np.arange(n_classes))
    assert len(asked) == n_asked


def test_even_confusions_are_evened_out_before_anything_is_divided():
    rng = np.random.default_rng(0)
    proba, given = rng.dirichlet(np.full(3, 0.5), 60), rng.integers(0, 3, 60)
    joint = confident_joint(proba, given)
    found = confident_posterior(proba, given)[2]
    np.testing.assert_allclose(found, transition_from_joint(shrink_confusions(joint)))
    assert not np.allclose(found, transition_from_joint(joint))


def test_an_unsure_classifier_that_predicts_turned_labels(seed=0):
    """Four classes, 35 % of each given the next one; the classifier halves the logits of what it knows."""
    rng, truth = np.random.default_rng(seed), 0.65 * np.eye(4) + 0.35 * np.roll(np.eye(4), 1, axis=1)
    true = rng.integers(4, size=4000)
    given = np.where(rng.random(4000) < 0.35, (true + 1) % 4, true)
    proba = np.exp(0.5 * np.log(0.02 + truth[true]) + 0.1 * rng.normal(size=(4000, 4)))
    proba /= proba.sum(axis=1, keepdims=True)
    clean, posterior, found = noisy_class_posterior(proba, given)
    np.testing.assert_allclose(found, truth, atol=0.05)
    assert (posterior.argmax(axis=1) == true).mean() > 0.97


def test_bayes_by_hand():
    """Even odds at any temperature: the label is .5 * .2 + .5 * .6 likely, and the odds are those of T's column."""
    clean, posterior = posterior_of_known(np.array([[0.5, 0.5]]), np.array([1]), T)
    np.testing.assert_allclose(clean, [[0.5, 0.5]])
    np.testing.assert_allclose(posterior, [[0.25, 0.75]])


def test_some_of_many_rows_tell_the_temperature(monkeypatch):
    """Labels of every second row are right, which asks for the sharpest; of all rows half are: the flattest."""
    monkeypatch.setattr(sharpness, "MOST_NUMBERS", 100)
    predicted = np.arange(100) // 2 % 2
    proba = np.where(np.eye(2)[predicted] == 1, 0.6, 0.4)
    given = np.where(np.arange(100) % 2 == 0, predicted, 1 - predicted)
    clean, _ = posterior_of_known(proba, given, np.array([[0.8, 0.2], [0.2, 0.8]]))
    np.testing.assert_allclose(clean, proba**4 / (proba**4).sum(axis=1, keepdims=True))
    clean, _ = posterior_of_known(proba[:50], given[:50], np.array([[0.8, 0.2], [0.2, 0.8]]))
    np.testing.assert_allclose(clean, (proba**0.25 / (proba**0.25).sum(axis=1, keepdims=True))[:50])


def test_a_sure_row_with_the_other_label_is_flattened_as_far_as_may_be():
    """Odds of 1e-6 at least, and at the flattest temperature, 4, the fourth root of them."""
    clean, _ = posterior_of_known(np.array([[1.0, 0.0]]), np.array([1]), T)
    np.testing.assert_allclose(clean[0, 1] / clean[0, 0], 10**-1.5, rtol=1e-5)


def test_an_impossible_label_keeps_the_prediction():
    wrong = np.array([[1.0, 0.0], [1.0, 0.0]])
    clean, posterior = posterior_of_known(np.array([[0.9, 0.1]]), np.array([1]), wrong)
    np.testing.assert_array_equal(posterior, clean)


def test_temperature_sharpens_underconfident_rows():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 500)
    given = np.where(rng.random(500) < 0.2, 1 - true, true)
    proba = np.where(np.eye(2)[true] == 1, 0.6, 0.4)
    flip = np.array([[0.8, 0.2], [0.2, 0.8]])
    clean, _ = posterior_of_known(proba, given, flip)
    np.testing.assert_allclose(clean, proba**4 / (proba**4).sum(axis=1, keepdims=True))  # the sharpest of the grid, .25


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
