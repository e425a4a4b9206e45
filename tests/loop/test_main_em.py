"""g's E-step, ranking score, regularizer and M-steps, on tables of a few rows."""

import pytest
import torch
from tables import (
    G_PROB,
    GIVEN,
    ROWS,
    WEIGHTS,
    N,
    Neighbours,
    Q,
    loader,
    move_of_one_step,
    onehot,
    prob_of,
    table_trainer,
)
from torch.testing import assert_close

from noisyflywheel import em
from noisyflywheel.em.losses import main_loss
from noisyflywheel.loop import main_em
from noisyflywheel.loop.main_em import Regularizer

# E-step: two rows with label 0, g sure of it in the first only

LOG_G = torch.log(torch.tensor([[0.8, 0.2], [0.1, 0.9]], dtype=torch.float64))
F_TWO = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
ZERO = torch.tensor([0, 0])
EPS = torch.tensor([0.1, 0.1], dtype=torch.float64)
GAMMA = torch.tensor(0.75, dtype=torch.float64)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_e_step_by_hand():
    q, gamma, temperature = main_em.e_step(LOG_G.float(), F_TWO, ZERO, GAMMA, EPS)
    assert_close(q, double(0.96, 0.75))  # .6 / .625 and .075 / .1
    assert float(gamma) == pytest.approx(0.855)
    assert gamma.dtype == torch.float64 and temperature == 1.0


def test_e_step_weighs_rows_in_gamma_only():
    q, gamma, _ = main_em.e_step(LOG_G, F_TWO, ZERO, GAMMA, EPS, sample_weight=double(1.5, 0.5))
    assert_close(q, double(0.96, 0.75))
    assert float(gamma) == pytest.approx((1.5 * 0.96 + 0.5 * 0.75) / 2)


def test_e_step_that_holds_gamma_takes_the_agreement_of_f():
    q, _, temperature = main_em.e_step(LOG_G, F_TWO, ZERO, GAMMA, EPS, hold_gamma=True)
    assert_close(q, double(8 / 9, 0.5))  # gamma .5
    assert temperature == 1.0
    q, _, _ = main_em.e_step(LOG_G, F_TWO, ZERO, 0 * GAMMA, EPS, hold_gamma=True, sample_weight=double(1.5, 0.5))
    assert_close(q, double(0.96, 0.75))  # gamma .75
    q, _, _ = main_em.e_step(LOG_G, 1 - F_TWO[:1], ZERO[:1], GAMMA, EPS[:1], hold_gamma=True)
    assert float(q) == pytest.approx(8e-4, rel=1e-3)  # f agrees nowhere: gamma is kept off 0


def sure_of_wrong_labels():
    """Eight rows whose label is right in six; g holds each for nearly certain, f agrees with those six."""
    prob = torch.tensor([[0.999, 0.001]]).repeat(8, 1)
    return prob.double().log(), prob, torch.tensor([0] * 6 + [1] * 2), torch.full((8,), 0.5, dtype=torch.float64)


def test_e_step_that_calibrates_flattens_a_g_that_is_too_sure():
    log_g, f_prob, given, eps = sure_of_wrong_labels()
    q, gamma, temperature = main_em.e_step(log_g, f_prob, given, GAMMA / 3, eps, calibrate=True)
    assert temperature == em.calibrate(log_g, given, 0.75, eps) > 2
    p = 0.999 ** (1 / temperature) / (0.999 ** (1 / temperature) + 0.001 ** (1 / temperature))
    right, wrong = (0.75 * g / (0.75 * g + 0.25 * 0.5) for g in (p, 1 - p))
    assert_close(q, double(*[right] * 6, *[wrong] * 2))
    assert float(gamma) == pytest.approx((6 * right + 2 * wrong) / 8)


def test_e_step_calibrates_with_weights():
    log_g, f_prob, given, eps = sure_of_wrong_labels()
    weights = double(*[1.3] * 6, *[0.1] * 2)
    found = main_em.e_step(log_g, f_prob, given, GAMMA, eps, calibrate=True, sample_weight=weights)
    assert found.temperature == em.calibrate(log_g, given, 7.8 / 8, eps, weights)
    assert found.temperature < main_em.e_step(log_g, f_prob, given, GAMMA, eps, calibrate=True).temperature


# ranking score and overconfidence


def test_ranking_score_is_the_mean_of_g_and_f():
    score = main_em.ranking_score(LOG_G.float(), F_TWO, torch.tensor([0, 1]))
    assert_close(score, double((0.8 + 0.7) / 2, (0.9 + 0.6) / 2), rtol=1e-6, atol=0)


def test_g_is_overconfident_from_eight_hundredths_on():
    log_g = torch.log(torch.tensor([[0.97, 0.03]]).repeat(100, 1))
    for agreeing, expected in [(90, False), (88, True), (100, False)]:  # .07, .09 and -.03
        f_prob = torch.tensor([[0.6, 0.4]] * agreeing + [[0.4, 0.6]] * (100 - agreeing))
        assert main_em.is_overconfident(log_g, f_prob) is expected


def test_just_the_bound_is_not_overconfident(monkeypatch):
    log_g, f_prob = torch.log(torch.tensor([[0.7, 0.3]])), torch.tensor([[0.4, 0.6]])
    monkeypatch.setattr(main_em, "OVERCONFIDENT", em.overconfidence(log_g, f_prob))
    assert main_em.is_overconfident(log_g, f_prob) is False


# prior and lambda


def test_class_prior_by_hand():
    labels = torch.tensor([0, 0, 1])
    assert_close(main_em.class_prior(labels, 3), torch.tensor([3.0, 2.0, 1.0]) / 6)
    weighted = main_em.class_prior(labels, 3, double(1.0, 2.0, 0.5))
    assert_close(weighted, torch.tensor([4.0, 1.5, 1.0]) / 6.5)


def test_lambda_is_limited_where_classes_are_unequal():
    labels = torch.tensor([0] * 17 + [1])  # shares .9 and .1
    prior, weight = main_em.regularizer(labels, 2, 3.0, True)
    assert_close(prior, torch.tensor([0.9, 0.1]))
    assert float(weight) == pytest.approx(0.25 / 0.8)
    whole = main_em.regularizer(labels, 2, 3.0, False).weight
    assert isinstance(whole, torch.Tensor) and float(whole) == 3.0
    weights = torch.cat([torch.full((17,), 1 / 17), torch.tensor([1.0])]).double()
    assert float(main_em.regularizer(labels, 2, 3.0, True, weights).weight) == pytest.approx(3.0)  # equal by weight


# M-steps: by the logits, cross-entropy has the gradient g - onehot and the regularizer prior - g, each over B

PRIOR = torch.tensor([0.5, 0.3, 0.2])
Y_HAT = GIVEN.roll(1)


def test_m_step_goes_to_the_resampled_labels_and_away_from_the_prior():
    trainer = table_trainer(G_PROB, lr=N)
    loss = main_em.m_step(trainer, loader(), ROWS, GIVEN, Y_HAT, Regularizer(PRIOR, torch.tensor(0.7)))
    expected = G_PROB - onehot(Y_HAT) + 0.7 * (PRIOR - G_PROB)
    assert_close(move_of_one_step(trainer, G_PROB), expected, atol=1e-5, rtol=0)
    by_hand = -G_PROB.log()[ROWS, Y_HAT].mean() + 0.7 * (G_PROB.log() @ PRIOR).mean()
    assert loss == pytest.approx(float(by_hand), abs=1e-5)


def test_m_step_weighs_rows_in_both_parts():
    trainer = table_trainer(G_PROB, lr=N)
    main_em.m_step(trainer, loader(), ROWS, GIVEN, Y_HAT, Regularizer(PRIOR, torch.tensor(0.7)), WEIGHTS)
    expected = WEIGHTS[:, None].float() * (G_PROB - onehot(Y_HAT) + 0.7 * (PRIOR - G_PROB))
    assert_close(move_of_one_step(trainer, G_PROB), expected, atol=1e-5, rtol=0)


NO_REGULARIZER = Regularizer(PRIOR, torch.tensor(0.0))


@pytest.mark.parametrize("step", [main_em.m_step, main_em.m_step_without_auxiliary])
def test_m_steps_see_weak_views_and_tell_the_given_labels_to_callbacks(step):
    trainer = table_trainer(G_PROB, batch_size=4)
    trainer.epoch = list
    seen = step(trainer, loader(Neighbours()), ROWS[2:9], GIVEN, Y_HAT, NO_REGULARIZER)
    assert [len(batch.x) for batch in seen] == [4, 3]
    shown = torch.cat([batch.x for batch in seen])[:, 0].long()
    assert sorted(shown.tolist()) == list(range(3, 10))
    assert torch.equal(torch.cat([batch.labels for batch in seen]), GIVEN[shown - 1])
    if step is main_em.m_step:
        log_g = torch.log(G_PROB[:4])
        expected = main_loss(log_g, Y_HAT[shown[:4] - 1], PRIOR, 0.0)
        assert_close(seen[0].loss(log_g), expected)


@pytest.mark.parametrize("step", [main_em.m_step, main_em.m_step_without_auxiliary])
def test_weighted_losses_have_the_precision_of_the_net(step):
    trainer = table_trainer(G_PROB)
    trainer.epoch = list
    labels_or_q = Y_HAT if step is main_em.m_step else Q
    for weights in (None, WEIGHTS):
        (batch,) = step(trainer, loader(), ROWS, GIVEN, labels_or_q, NO_REGULARIZER, weights)
        assert batch.loss(torch.log(G_PROB)).dtype == torch.float32


def test_m_step_without_auxiliary_goes_to_the_given_labels_as_far_as_they_are_clean():
    trainer = table_trainer(G_PROB, lr=N)
    regularizer = Regularizer(PRIOR, torch.tensor(0.7))
    loss = main_em.m_step_without_auxiliary(trainer, loader(), ROWS, GIVEN, Q, regularizer)
    clean = Q[:, None].float()
    expected = clean * (G_PROB - onehot(GIVEN)) + 0.7 * (PRIOR - G_PROB)
    assert_close(move_of_one_step(trainer, G_PROB), expected, atol=1e-5, rtol=0)
    by_hand = -(Q * G_PROB.log()[ROWS, GIVEN]).mean() + 0.7 * (G_PROB.log() @ PRIOR).mean()
    assert loss == pytest.approx(float(by_hand), abs=1e-5)


def test_m_step_without_auxiliary_weighs_rows_in_both_parts():
    trainer = table_trainer(G_PROB, lr=N)
    regularizer = Regularizer(PRIOR, torch.tensor(0.7))
    main_em.m_step_without_auxiliary(trainer, loader(), ROWS, GIVEN, Q, regularizer, WEIGHTS)
    expected = Q[:, None].float() * (G_PROB - onehot(GIVEN)) + 0.7 * (PRIOR - G_PROB)
    assert_close(move_of_one_step(trainer, G_PROB), WEIGHTS[:, None].float() * expected, atol=1e-5, rtol=0)


def test_a_row_of_weight_zero_moves_nothing():
    weights = WEIGHTS.clone()
    weights[4] = 0
    trainer = table_trainer(G_PROB)
    main_em.m_step(trainer, loader(), ROWS, GIVEN, Y_HAT, Regularizer(PRIOR, torch.tensor(0.7)), weights)
    moved = (prob_of(trainer) - G_PROB).abs().sum(1) > 1e-6
    assert moved.tolist() == [row != 4 for row in range(N)]
