"""Training steps on weak views: who sees which rows, with which loss and weights."""

import torch
from tables import G_PROB, GIVEN, ROWS, WEIGHTS, N, Neighbours, loader, table_trainer
from torch.testing import assert_close

from noisyflywheel.loop.steps import weak_batches, weights_of


def test_weights_are_those_of_the_rows_in_single_precision():
    index = torch.tensor([2, 0])
    assert weights_of(None, index) is None
    assert_close(weights_of(WEIGHTS, index), torch.tensor([1.0, 2.0]))
    members = torch.stack([WEIGHTS, 2 * WEIGHTS])
    assert_close(weights_of(members, index), torch.tensor([[1.0, 2.0], [2.0, 4.0]]))


def test_each_row_is_seen_once_by_its_weak_view_with_its_own_loss():
    asked = []

    def loss_of(index, w):
        asked.append((index, w))
        return lambda log_p: log_p.sum()

    trainer = table_trainer(G_PROB, batch_size=4)
    steps = list(weak_batches(trainer, loader(Neighbours()), ROWS, GIVEN, loss_of, WEIGHTS))
    assert sorted(torch.cat([index for index, _ in asked]).tolist()) == ROWS.tolist()
    for step, (index, w) in zip(steps, asked, strict=True):
        assert torch.equal(step.x[:, 0].long(), (index + 1) % N) and torch.equal(step.labels, GIVEN[index])
        assert step.weights is w and torch.equal(w, WEIGHTS[index].float())
    assert [len(step.x) for step in steps] == [4, 4, 2]
