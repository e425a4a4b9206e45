"""How much flatter predictions have to be: hand values, and what the given labels of unseen rows cannot show."""

import numpy as np
import pytest
import torch

from noisyflywheel import em
from noisyflywheel.em import sharpness

EYE = torch.eye(2, dtype=torch.float64)
SURE = torch.tensor([[0.99, 0.01]] * 10, dtype=torch.float64)


def labels(n_wrong):
    return (torch.arange(10) < n_wrong).long()


def test_too_sure_predictions_become_as_sure_as_they_are_right():
    """.99 where one label in ten is the other one: logits of 4.6 for 2.2."""
    assert em.flattening(SURE, labels(1), EYE) == pytest.approx(2.0)
    assert em.flattening(SURE, labels(2), EYE) == pytest.approx(2 * 2**0.75)
    assert em.flattening(SURE.float(), labels(1), EYE.float()) == pytest.approx(2.0)


def test_predictions_are_never_made_surer():
    assert em.flattening(SURE.sqrt() / SURE.sqrt().sum(1, keepdim=True), labels(0), EYE) == 1.0
    assert em.flattening(SURE, labels(0), EYE) == 1.0


def test_wrong_labels_that_t_explains_do_not_count_against_predictions():
    T = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64)
    assert em.flattening(SURE, labels(1), T) == 1.0
    assert em.flattening(SURE, labels(3), T) > 1.5


def test_rows_count_by_their_weight():
    weight = torch.ones(10)
    weight[0] = 0.0
    assert em.flattening(SURE, labels(1), EYE, weight) == 1.0
    weight[0] = 2.0
    twice = em.flattening(torch.cat([SURE[:1], SURE]), torch.cat([labels(1)[:1], labels(1)]), EYE)
    assert em.flattening(SURE, labels(1), EYE, weight) == twice > 2.0


def test_certain_predictions_of_other_labels_do_no_harm():
    certain = torch.tensor([[1.0, 0.0]] * 4)
    assert np.isfinite(em.flattening(certain, torch.tensor([0, 0, 0, 1]), EYE))


def test_the_temperature_of_made_predictions_is_found(monkeypatch):
    """Labels drawn from p, and p sharpened: of all rows, and of some."""
    rng = torch.Generator().manual_seed(0)
    p = torch.rand(4000, 3, generator=rng, dtype=torch.float64).pow(3)
    p = p / p.sum(1, keepdim=True)
    given = torch.multinomial(p, 1, generator=rng).squeeze(1)
    sharp = p.pow(2) / p.pow(2).sum(1, keepdim=True)
    eye = torch.eye(3, dtype=torch.float64)
    assert em.flattening(sharp, given, eye) == pytest.approx(2.0)
    assert em.flattening(p, given, eye) == 1.0
    ones = torch.ones(4000)
    assert em.flattening(sharp, given, eye, ones) == em.flattening(sharp, given, eye)
    p[::2] = sharp[::2]  # every second row is too sure, and with so many numbers only these are asked
    monkeypatch.setattr(sharpness, "MOST_NUMBERS", 6000)
    assert em.flattening(p, given, eye, ones) == em.flattening(p, given, eye) == pytest.approx(2.0)
    monkeypatch.setattr(sharpness, "MOST_NUMBERS", 12000)
    assert 1.0 < em.flattening(p, given, eye) < 1.9


def test_predictions_may_be_of_half_precision():
    rng = torch.Generator().manual_seed(0)
    p = torch.rand(6000, 3, generator=rng).mul(3).softmax(1).half()
    given = torch.multinomial(p.float().sqrt(), 1, generator=rng).squeeze(1)
    found = em.flattening(p, given, torch.eye(3))
    assert found == em.flattening(p.double(), given, torch.eye(3)) == pytest.approx(2.0, rel=0.2)
