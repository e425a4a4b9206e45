"""The most likely transition matrix: by hand, and beside others."""

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel import em
from noisyflywheel.em import likely


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_sure_predictions_count_labels():
    """Three rows of class 0 labelled 0, 0, 1, one of class 1 labelled 1; each class gets a row and a half more."""
    prob, given = double([1, 0], [1, 0], [1, 0], [0, 1]), torch.tensor([0, 0, 1, 1])
    T, likelihood = em.likely_transition(prob, given)
    assert_close(T, double([3.25 / 4.5, 1.25 / 4.5], [0.25 / 2.5, 2.25 / 2.5]))
    assert_close(likelihood, (2 * T[0, 0].log() + T[0, 1].log() + T[1, 1].log()))


def test_no_rows_are_an_error():
    prob, given = torch.full((4, 2), 0.5).double(), torch.tensor([0, 1, 0, 1])
    for call in (
        lambda: em.likely_transition(prob[:0], given[:0]),
        lambda: em.averaged_posterior(prob[:0], given[:0]),
        lambda: em.averaged_posterior(prob, given, torch.zeros(4)),
    ):
        with pytest.raises(ValueError, match="no rows to learn T from: at least one is needed, of weight above 0"):
            call()


def test_more_steps_change_nothing_and_no_other_matrix_is_more_likely(monkeypatch):
    prob = torch.softmax(2 * torch.randn(300, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 1)
    truth = double([0.8, 0.2, 0.0], [0.0, 0.7, 0.3], [0.1, 0.0, 0.9])
    given = (prob @ truth).multinomial(1, generator=torch.Generator().manual_seed(0)).squeeze(1)
    T, likelihood = em.likely_transition(prob, given)

    def penalised(matrix):
        evidence = (prob @ matrix).gather(1, given[:, None]).log().sum()
        return evidence + ((torch.eye(3, dtype=torch.float64) + 0.5 / 3) * matrix.log()).sum()

    monkeypatch.setattr(likely, "N_STEPS", 2000)
    best = em.likely_transition(prob, given)[0]
    assert_close(best, T, atol=0.02, rtol=0)
    for seed in range(20):
        change = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert penalised((best.log() + 0.1 * change).softmax(1)) < penalised(best)
    assert_close(likelihood, (prob @ T).gather(1, given[:, None]).log().sum())


def test_several_predictions_have_a_transition_matrix_each():
    prob, given = double([0.8, 0.2], [0.7, 0.3], [0.4, 0.6]), torch.tensor([0, 1, 1])
    both = torch.stack([prob, prob.flip(1)])
    alone = [em.likely_transition(p, given, double(1, 0.5, 2)) for p in both]
    T, likelihood = em.likely_transition(both, given, double(1, 0.5, 2))
    assert_close(T, torch.stack([T for T, _ in alone]))
    assert_close(likelihood, torch.stack([value for _, value in alone]))


def test_evidence_is_above_0():
    prob, T = double([1, 0]), torch.eye(2, dtype=torch.float64)
    assert likely.evidence_of(prob, T, torch.tensor([1])) > 0
