"""A matrix divided out of predictions, and those that rows show: by hand, and back from an image."""

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.em import division


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(("n_rows", "n_anchors"), [(40, (5, 10, 20)), (12, (5, 5, 6))])
def test_shares_of_the_rows_and_five_at_least_show_the_labels_of_a_class(n_rows, n_anchors):
    """All rows are predicted as class 0; the surest so many are labelled 1, the others 0."""
    sure = torch.linspace(0.9, 0.6, n_rows, dtype=torch.float64)
    prob, weight = torch.stack([sure, 1 - sure], 1), torch.ones(n_rows, dtype=torch.float64)
    for i, n in enumerate(n_anchors):
        T = division.anchor_transitions(prob, (torch.arange(n_rows) < n).long(), weight)[i]
        assert_close(T[0], double(1.25, n + 0.25) / (n + 1.5))


def test_the_surest_rows_of_each_class_show_its_labels(monkeypatch):
    """Two of the four rows predicted as class 0 count, labelled 1 and 0, or all; no row is predicted as class 1."""
    monkeypatch.setattr(division, "ANCHORS", (0.5, 1.0))
    monkeypatch.setattr(division, "FEWEST_ANCHORS", 1.0)
    prob, given = double([0.6, 0.4], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3]), torch.tensor([1, 1, 0, 1])
    half, whole = division.anchor_transitions(prob, given, double(1, 1, 1, 1))
    assert_close(half, double([2.25 / 3.5, 1.25 / 3.5], [0.25 / 1.5, 1.25 / 1.5]))
    assert_close(whole, double([2.25 / 5.5, 3.25 / 5.5], [0.25 / 1.5, 1.25 / 1.5]))
    heavy, _ = division.anchor_transitions(prob, given, double(1, 1, 2, 1))  # 2.5 of 5: a row and three quarters of one
    assert_close(heavy[0], double(1.25 + 1.5, 0.25 + 1) / 4.0)
    monkeypatch.setattr(division, "FEWEST_ANCHORS", 3.0)
    assert_close(division.anchor_transitions(prob, given, double(1, 1, 1, 1))[0, 0], double(2.25, 2.25) / 4.5)


def test_one_step_of_a_division_by_hand():
    """Of (.5, .5) the image is (.6, .4): the factors of (.6, .4) are all 1, those of (.9, .1) are 1.25 and .75."""
    p, T = double([0.6, 0.4], [0.9, 0.1]), double([0.8, 0.2], [0.4, 0.6])
    found = division.divided_out(p, T, 1, torch.full((2, 2), 0.5, dtype=torch.float64))
    assert_close(found, double([0.5, 0.5], [0.625, 0.375]))


def test_a_division_has_twenty_steps():
    p, T = double([0.8, 0.2], [0.3, 0.7]), double([0.8, 0.2], [0.4, 0.6])
    guess = p
    for _ in range(20):
        guess = division.divided_out(p, T, n_steps=1, start=guess)
    assert torch.equal(division.divided_out(p, T), guess)


def test_a_division_finds_the_true_class():
    clean, T = double([1, 0], [0, 1], [0.3, 0.7]), double([0.8, 0.2], [0.4, 0.6])
    even = torch.full((3, 2), 0.5, dtype=torch.float64)
    assert_close(division.divided_out(clean @ T, T, 3000, even), clean, atol=1e-3, rtol=0)


def test_a_matrix_is_divided_out_of_its_image():
    T = double([0.7, 0.3, 0.0], [0.0, 0.8, 0.2], [0.2, 0.0, 0.8])
    truth = double([1, 0, 0], [0, 1, 0], [0.5, 0.2, 0.3])
    found = division.divided_out(truth @ T, T)
    assert_close(found, truth, atol=0.08, rtol=0)
    assert_close(found @ T, truth @ T, atol=0.02, rtol=0)
    assert_close(division.divided_out(truth, torch.eye(3, dtype=torch.float64)), truth)


def test_division_begins_where_it_is_told_to():
    p, start = double([0.7, 0.3]), double([0.2, 0.8])
    T = torch.eye(2, dtype=torch.float64)
    assert torch.equal(division.divided_out(p, T, n_steps=0), p)
    assert torch.equal(division.divided_out(p, T, n_steps=0, start=start), start)


def test_the_image_of_each_step_is_more_likely_than_the_one_before():
    """Richardson's iteration is EM: the cross-entropy of p and of the image of a guess falls from step to step."""
    rng = torch.Generator().manual_seed(0)
    p = torch.softmax(2 * torch.randn(50, 4, generator=rng, dtype=torch.float64), 1)
    T = torch.softmax(3 * torch.eye(4) + torch.randn(4, 4, generator=rng), 1).double()
    images = [division.divided_out(p, T, n) @ T for n in range(30)]
    values = torch.stack([-(p * image.log()).sum(1) for image in images])  # (steps, rows)
    assert (values.diff(dim=0) < 1e-12).all() and (values[0] - values[-1]).min() > 1e-6


@pytest.mark.parametrize(("temperature", "expected"), [(0.5, 0.9), (1.0, 0.75), (2.0, 3**0.5 / (1 + 3**0.5))])
def test_odds_of_three_at_a_temperature(temperature, expected):
    """The odds 3 to 1 become 3 to the power of 1 / temperature."""
    p, kept = double([0.75, 0.25]), torch.eye(2, dtype=torch.float64)
    for found in (division.tempered, division.scaled, lambda p, tau: division.divided_at(p, kept, tau)):
        assert_close(found(p, temperature), double([expected, 1 - expected]))
    assert division.scaled(p, 1.0) is p
