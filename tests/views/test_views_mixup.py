"""MixUp of inputs and label distributions."""

import pytest
import torch

from noisyflywheel.views.mixup import mixing_weight, mixup


def batch(n=16):
    x = torch.arange(n, dtype=torch.float32)[:, None].repeat(1, 3)
    target = torch.softmax(torch.randn(n, 4, generator=torch.Generator().manual_seed(0)), 1)
    return x, target


def test_inputs_and_targets_share_weight_and_partner():
    """With targets equal to inputs, both come out equal; each row keeps at least half of itself."""
    x, _ = batch()
    mixed, target = mixup(x, x.clone(), 4.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed, target)
    share = mixing_weight(4.0, torch.Generator().manual_seed(0))
    partner = (mixed - share * x) / (1 - share)
    torch.testing.assert_close(partner.sort(0).values, x, atol=1e-4, rtol=0)


def test_rows_of_mixed_targets_sum_to_one():
    x, target = batch()
    _, mixed = mixup(x, target, 0.5, torch.Generator().manual_seed(3))
    torch.testing.assert_close(mixed.sum(1), torch.ones(16))


def test_alpha_zero_leaves_the_batch():
    x, target = batch()
    mixed, same = mixup(x, target, 0.0, torch.Generator())
    assert mixed is x
    assert same is target


def test_arguments_are_left_alone_and_the_seed_decides():
    x, target = batch()
    before = x.clone()
    first = mixup(x, target, 4.0, torch.Generator().manual_seed(5))
    again = mixup(x, target, 4.0, torch.Generator().manual_seed(5))
    other = mixup(x, target, 4.0, torch.Generator().manual_seed(6))
    assert torch.equal(x, before)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("alpha", [1e-3, 0.5, 4.0, 1e4])
def test_mixing_weight_is_the_larger_share(alpha):
    rng = torch.Generator().manual_seed(0)
    drawn = [mixing_weight(alpha, rng) for _ in range(500)]
    assert all(0.5 <= w <= 1 for w in drawn)


def test_mixing_weight_follows_beta():
    """E max(l, 1 - l) for Beta(1, 1), the uniform law, is 3/4; for Beta(4, 4) it is 0.63671875."""
    rng = torch.Generator().manual_seed(0)
    for alpha, mean in ((1.0, 0.75), (4.0, 0.63671875)):
        drawn = torch.tensor([mixing_weight(alpha, rng) for _ in range(4000)])
        assert float(drawn.mean()) == pytest.approx(mean, abs=0.01)
