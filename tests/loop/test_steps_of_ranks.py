"""What each rank is given in a training step: its share of the views, the whole batch's targets, sizes and weights."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from tables import F_PROB, GIVEN, ROWS, WEIGHTS, K, Q, flywheel, read_loader
from torch.testing import assert_close

from noisyflywheel.loop import auxiliary_em, main_em

BATCH = 4
"""Of ten rows: batches of 4, 4 and 2, shared by two ranks as 2 + 2, 2 + 2 and 1 + 1."""


class Recorder:
    """A trainer that keeps its steps instead of making them."""

    net = SimpleNamespace(batch_size=BATCH)

    def epoch(self, steps):
        self.steps = list(steps)
        return 0.0

    def autocast(self):
        return nullcontext()

    def features_of(self, strong, shares):
        self.strong, self.sizes = strong, shares.sizes
        return torch.eye(2 * sum(shares.sizes))


def steps_of_f(rank, **options):
    recorder, target = Recorder(), auxiliary_em.mixture_target(GIVEN, Q, F_PROB)
    auxiliary_em.m_step(recorder, read_loader(rank), ROWS, GIVEN, target, **options)
    return recorder


def numbers(x):
    return x.flatten().long()


def test_a_step_of_f_has_the_views_of_a_rank_and_the_labels_of_all():
    first, second = (steps_of_f(rank).steps for rank in (0, 1))
    for mine, its, n in zip(first, second, [4, 4, 2], strict=True):
        index = torch.cat([numbers(mine.x), numbers(its.x)])
        assert mine.shares.sizes == its.shares.sizes == [n // 2, n // 2] and mine.more == 0 and mine.weights is None
        assert torch.equal(mine.labels, GIVEN[index]) and torch.equal(its.labels, GIVEN[index])


def test_a_step_of_f_with_mixup_has_two_views_of_each_row_of_the_rank():
    for step, n in zip(steps_of_f(1, mixup_alpha=1.0).steps, [4, 4, 2], strict=True):
        assert step.shares.sizes == [n, n] and len(step.x) == n and len(step.labels) == 2 * n


def test_strong_views_of_a_rank_are_half_of_its_rows_each():
    recorder = steps_of_f(0, head=torch.nn.Identity(), contrastive_weight=1.0)
    for step, n in zip(recorder.steps, [4, 4, 2], strict=True):
        step.loss(torch.zeros(n, K))
        assert recorder.sizes == [n // 2, n // 2] and [len(view) for view in recorder.strong] == recorder.sizes[:1] * 2
        assert step.more == n and step.shares.sizes == [n // 2, n // 2]


def test_members_weights_of_f_are_those_of_the_batch():
    members = torch.stack([WEIGHTS, 2 - WEIGHTS])
    found = steps_of_f(0, sample_weight=members)
    whole = torch.cat([step.weights for step in found.steps], 1)
    assert whole.dtype == torch.float32 and whole.shape == (2, 10)
    assert_close(whole.sort(1).values, members.float().sort(1).values)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_warm_up_step_has_sizes_and_weights_of_the_whole_batch(rank):
    made = flywheel(batch_size=BATCH, sample_weight=WEIGHTS)
    made.loader = read_loader(rank)
    seen = []
    trainer = SimpleNamespace(net=Recorder.net, warm_up_loss=lambda log_p, **kwargs: seen.append(kwargs))
    for step, n in zip(made.warm_up_steps(trainer, made.all_rows), [4, 4, 2], strict=True):
        assert step.shares.sizes == [n // 2, n // 2] and len(step.x) == n // 2 and len(step.labels) == n
        step.loss(None)
        kwargs = seen.pop()
        assert torch.equal(kwargs["target"], step.labels) and kwargs["sample_weight"] is step.weights
        assert step.weights.dtype == torch.float32
        share = numbers(step.x)
        own = slice(0, n // 2) if rank == 0 else slice(n // 2, n)
        assert_close(step.weights[own], WEIGHTS[share].float())


@pytest.mark.parametrize("refurbish", [True, False])
def test_a_step_of_g_has_sizes_and_labels_of_the_whole_batch(refurbish):
    recorder, regularizer = Recorder(), main_em.regularizer(GIVEN, K, 1.0, False)
    parts = (recorder, read_loader(1), ROWS, GIVEN)
    if refurbish:
        main_em.m_step(*parts, F_PROB.argmax(1), regularizer, WEIGHTS)
    else:
        main_em.m_step_without_auxiliary(*parts, Q, regularizer, WEIGHTS)
    for step, n in zip(recorder.steps, [4, 4, 2], strict=True):
        assert step.shares.sizes == [n // 2, n // 2] and len(step.x) == n // 2
        assert torch.equal(step.labels[n // 2 :], GIVEN[numbers(step.x)])
        assert_close(step.weights[n // 2 :], WEIGHTS[numbers(step.x)].float())
        assert step.weights.dtype == torch.float32


def test_the_target_of_a_step_of_f_is_in_the_order_of_the_ranks_rows():
    first, second = (steps_of_f(rank).steps for rank in (0, 1))
    for mine, its in zip(first, second, strict=True):
        index = torch.cat([numbers(mine.x), numbers(its.x)])
        expected = auxiliary_em.mixture_target(GIVEN, Q, F_PROB)(index)
        log_f = torch.randn(len(index), K, generator=torch.Generator().manual_seed(0)).log_softmax(1)
        assert_close(mine.loss(log_f), -(expected * log_f).sum(1).mean())
        assert_close(its.loss(log_f), mine.loss(log_f))
