"""f's E-step, M-step and the resampling, on a table of ten rows."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from tables import F_PROB, GIVEN, ROWS, WEIGHTS, K, N, Neighbours, Q, loader, move_of_one_step, onehot, table_trainer
from torch import nn
from torch.testing import assert_close

from noisyflywheel.em.losses import contrastive_loss, soft_target_cross_entropy
from noisyflywheel.loop import auxiliary_em
from noisyflywheel.views.mixup import mixup

TARGET = (Q[:, None] * onehot(GIVEN) + (1 - Q)[:, None] * F_PROB).float()
"""Eq. (11) of all rows."""


def take_steps(trainer):
    """M-steps return their batches instead of training on them."""
    trainer.epoch = list
    return trainer


# E-step


def test_guess_without_views_is_the_prediction_of_the_rows():
    rows = torch.tensor([3, 1, 4])
    assert_close(auxiliary_em.e_step(table_trainer(F_PROB), loader(), rows, K), F_PROB[rows])


def test_guess_is_the_mean_over_the_named_views():
    made = loader(Neighbours())
    guess = auxiliary_em.e_step(table_trainer(F_PROB), made, ROWS, K)
    assert_close(guess, (F_PROB + F_PROB.roll(-1, 0)) / 2)  # the next row's and its own
    made.views.guess = ("weak", "plain", "weak")
    guess = auxiliary_em.e_step(table_trainer(F_PROB), made, ROWS, K)
    assert_close(guess, (F_PROB + 2 * F_PROB.roll(-1, 0)) / 3)


def test_a_guess_is_aligned_with_the_given_labels_by_hand():
    guess, given = torch.tensor([[0.8, 0.2], [0.6, 0.4]]), torch.tensor([0, 1])
    scaled = guess * torch.tensor([2 / 2.4, 2 / 1.6])  # a row of each class, and one more
    assert_close(auxiliary_em.aligned(guess, given), scaled / scaled.sum(1, keepdim=True))
    scaled = guess * torch.tensor([1.5 / 2.3, 2.5 / 1.7])
    weights = torch.tensor([0.5, 1.5], dtype=torch.float64)
    assert_close(auxiliary_em.aligned(guess, given, weights), scaled / scaled.sum(1, keepdim=True))


def test_a_weight_aligns_as_a_repetition_to_the_last_bit():
    guess = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    given, weights = torch.arange(1000) % 3, torch.arange(1000, dtype=torch.float64) % 4
    rows = torch.arange(1000).repeat_interleave(weights.long())
    repeated = auxiliary_em.aligned(guess[rows], given[rows])
    assert torch.equal(auxiliary_em.aligned(guess, given, weights)[rows], repeated)


# T and T_c


def test_matrices_by_hand():
    q = torch.tensor([0.5, 0.0, 0.25], dtype=torch.float64)
    f_prob = torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]], dtype=torch.float64)
    given, weights = torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
    T, T_c = auxiliary_em.matrices(q, f_prob, given)
    assert_close(T, torch.tensor([[0.75 / 1.75, 1 / 1.75], [0.2, 0.8]], dtype=torch.float64))
    assert_close(T_c, torch.tensor([[0.2, 0.8], [0.25, 0.75]], dtype=torch.float64))
    T, T_c = auxiliary_em.matrices(q, f_prob, given, weights)
    assert_close(T, torch.tensor([[0.6, 0.4], [1 / 7, 6 / 7]], dtype=torch.float64))
    assert_close(T_c, torch.tensor([[1 / 3, 2 / 3], [1 / 7, 6 / 7]], dtype=torch.float64))


# M-step: with respect to the logits, Eq. (13) has the gradient (f - q_i(y)) / B


def mixture():
    """Eq. (11), batch by batch."""
    return auxiliary_em.mixture_target(GIVEN, Q, F_PROB)


def test_m_step_goes_to_the_refurbished_labels():
    trainer = table_trainer(F_PROB, lr=N)
    loss = auxiliary_em.m_step(trainer, loader(), ROWS, GIVEN, mixture())
    assert_close(move_of_one_step(trainer, F_PROB), F_PROB - TARGET)
    assert loss == pytest.approx(float(-(TARGET * F_PROB.log()).sum(1).mean()))


def test_m_step_trains_weak_views_of_the_rows_of_the_cycle():
    trainer = table_trainer(F_PROB, lr=2)
    auxiliary_em.m_step(trainer, loader(Neighbours()), torch.tensor([2, 5]), GIVEN, mixture())
    move = move_of_one_step(trainer, F_PROB)
    assert_close(move[[3, 6]], F_PROB[[3, 6]] - TARGET[[2, 5]])  # the views show the next rows
    assert not move[[0, 1, 2, 4, 5, 7, 8, 9]].any()


def test_m_step_weighs_rows():
    trainer = table_trainer(F_PROB, lr=N)
    auxiliary_em.m_step(trainer, loader(), ROWS, GIVEN, mixture(), sample_weight=WEIGHTS)
    assert_close(move_of_one_step(trainer, F_PROB), WEIGHTS[:, None].float() * (F_PROB - TARGET))


def test_m_step_sharpens_the_guess():
    trainer = table_trainer(F_PROB, lr=N)
    auxiliary_em.m_step(trainer, loader(), ROWS, GIVEN, auxiliary_em.mixture_target(GIVEN, 0 * Q, F_PROB, 0.5))
    assert_close(move_of_one_step(trainer, F_PROB), F_PROB - F_PROB**2 / (F_PROB**2).sum(1, keepdim=True))


def test_m_step_without_mixup_takes_one_view_of_each_row():
    steps = auxiliary_em.m_step(take_steps(table_trainer(F_PROB, batch_size=4)), loader(), ROWS, GIVEN, mixture())
    assert [len(step.x) for step in steps] == [4, 4, 2]
    assert all(step.more == 0 and torch.equal(step.labels, GIVEN[step.x[:, 0].long()]) for step in steps)


def test_m_step_mixes_two_weak_views_of_each_row():
    trainer = take_steps(table_trainer(F_PROB))
    made = loader(Neighbours(), seed=3)
    (step,) = auxiliary_em.m_step(trainer, made, ROWS, GIVEN, mixture(), mixup_alpha=4.0)
    order = torch.Generator().manual_seed(3)
    index = torch.randperm(N, generator=order)
    weak = ((index + 1) % N).float()[:, None]
    x, target = mixup(weak.repeat(2, 1), TARGET[index].repeat(2, 1), 4.0, order)
    assert_close(step.x, x)
    assert torch.equal(step.labels, GIVEN[index].repeat(2))
    log_f = torch.log_softmax(torch.randn(2 * N, K, generator=order), 1)
    assert_close(step.loss(log_f), soft_target_cross_entropy(log_f, target))


def test_mixup_mixes_weighted_targets():
    trainer = take_steps(table_trainer(F_PROB))
    made = loader(seed=3)
    (step,) = auxiliary_em.m_step(trainer, made, ROWS, GIVEN, mixture(), mixup_alpha=4.0, sample_weight=WEIGHTS)
    order = torch.Generator().manual_seed(3)
    index = torch.randperm(N, generator=order)
    weighted = (WEIGHTS[:, None].float() * TARGET)[index].repeat(2, 1)
    x, target = mixup(index.float()[:, None].repeat(2, 1), weighted, 4.0, order)
    assert_close(step.x, x)
    log_f = torch.log_softmax(torch.randn(2 * N, K, generator=order), 1)
    assert_close(step.loss(log_f), soft_target_cross_entropy(log_f, target))


def test_members_have_weights_of_their_own():
    trainer = take_steps(table_trainer(F_PROB))
    weights = torch.stack([WEIGHTS, WEIGHTS.flip(0)])
    (step,) = auxiliary_em.m_step(trainer, loader(), ROWS, GIVEN, mixture(), sample_weight=weights)
    index = step.x[:, 0].long()
    log_f = F_PROB.log()[index]
    own = -(TARGET[index] * log_f).sum(1)
    value = step.loss(torch.stack([log_f, log_f]))
    assert_close(value, (weights[:, index].float() * own).mean())
    assert value.dtype == torch.float32


class Readable(nn.Module):
    """Tables whose features are a row's number and its square."""

    def forward_features(self, x):
        return torch.cat([x + 1, x**2], 1)


def test_m_step_with_a_head_adds_the_contrastive_loss_of_two_strong_views():
    class Strong(Neighbours):
        """The first strong view of a batch is the second next row, the other one the row itself."""

        calls = 0

        def strong(self, x):
            self.calls += 1
            return super().strong(x) if self.calls % 2 else x

    trainer = take_steps(table_trainer(F_PROB))
    trainer.features.has_method, trainer.features.module = True, Readable()
    head = nn.Linear(2, 2)
    (step,) = auxiliary_em.m_step(trainer, loader(Strong()), ROWS, GIVEN, mixture(), head=head, contrastive_weight=0.25)
    rows = step.x[:, 0].long() - 1
    log_f = F_PROB.log()
    features = [Readable().forward_features(view.float()[:, None]) for view in ((rows + 2) % N, rows % N)]
    contrast = contrastive_loss(head(features[0]), head(features[1]))
    assert_close(step.loss(log_f), soft_target_cross_entropy(log_f, TARGET[rows]) + 0.25 * contrast)
    assert step.more == 2 * N and len(step.x) == N


def test_the_forward_of_the_contrastive_loss_has_the_precision_of_the_others():
    trainer = table_trainer(F_PROB)
    trainer.features.has_method, trainer.features.module, trainer.amp = True, Readable(), True
    seen = []
    head = nn.Linear(2, 2)
    head.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    auxiliary_em.auxiliary_loss(trainer, TARGET[:2], head, [torch.zeros(2, 1), torch.ones(2, 1)], 1.0)(F_PROB[:2].log())
    assert seen == [torch.bfloat16]


# resampling and sharpening


def test_resample_by_hand():
    q, given = torch.tensor([0.6, 0.1]), torch.tensor([0, 0])
    f_prob = torch.tensor([[0.2, 0.8], [0.2, 0.8]])
    assert auxiliary_em.resample(q, given, f_prob, "posterior").tolist() == [0, 1]  # .68 and .28 of class 0
    assert auxiliary_em.resample(q, given, f_prob, "argmax").tolist() == [1, 1]


def test_sharpen_by_hand():
    prob = torch.tensor([[0.8, 0.2], [1.0, 0.0]])
    assert_close(auxiliary_em.sharpen(prob, 0.5)[0], torch.tensor([0.64, 0.04]) / 0.68)
    assert_close(auxiliary_em.sharpen(prob, 2.0)[1], torch.tensor([1.0, 1e-15]), rtol=1e-5, atol=0)
    assert auxiliary_em.sharpen(prob, 1.0) is prob
    assert_close(auxiliary_em.sharpen(prob, 1e-3)[0], torch.tensor([1.0, 0.0]))  # .8 to the power of 1,000 is 0


@given(st.integers(0, 10**6), st.floats(0.001, 10), st.integers(2, 40))
@settings(max_examples=30, deadline=None)
def test_sharpened_guesses_stay_distributions_in_the_same_order(seed, temperature, n_classes):
    prob = torch.rand(6, n_classes, generator=torch.Generator().manual_seed(seed)) ** 9
    prob = prob / prob.sum(1, keepdim=True)
    found = auxiliary_em.sharpen(prob, temperature)
    assert_close(found.sum(1), torch.ones(6))
    assert torch.equal(found.gather(1, prob.argmax(1, keepdim=True)), found.amax(1, keepdim=True))
