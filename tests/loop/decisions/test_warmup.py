"""When a warm-up is over, by rows won and lost."""

import torch

from noisyflywheel.loop.decisions import warmup


def right(n, m=40):
    """Agreement on the first n of m held-out rows."""
    return torch.arange(m) < n


def test_still_rising_is_a_sign_test_at_one_standard_deviation():
    def rising(won, lost, both=3, neither=3):
        before = torch.tensor([False] * won + [True] * lost + [True] * both + [False] * neither)
        now = torch.tensor([True] * won + [False] * lost + [True] * both + [False] * neither)
        return warmup.still_rising(before, now)

    assert rising(4, 0) and rising(2, 0) and rising(4, 1)  # 3 > sqrt(5)
    assert not rising(1, 0)  # 1 = sqrt(1)
    assert not rising(3, 1)  # 2 = sqrt(4)
    assert not rising(0, 0) and not rising(0, 4) and not rising(5, 5)


def test_a_warm_up_lasts_ten_epochs_at_least():
    assert not warmup.is_over([])
    assert not warmup.is_over([right(20)] * 9)
    assert warmup.is_over([right(20)] * 10)


def test_a_warm_up_goes_on_while_the_agreement_rises():
    rising = [right(2 * epoch) for epoch in range(1, 15)]
    assert not warmup.is_over(rising)
    assert not warmup.is_over([*rising, right(28)])  # still above the one of five epochs before
    assert warmup.is_over(rising + [right(28)] * 5)


def test_five_epochs_are_compared():
    early, late = [right(10)] * 5, [right(20)] * 5
    assert not warmup.is_over([*early, *late])  # the last against the fifth: won 10
    assert warmup.is_over([right(10)] * 4 + [right(20)] * 6)


def test_the_last_epoch_is_the_one_that_counts():
    assert not warmup.is_over([right(10)] * 9 + [right(20)])
    assert warmup.is_over([right(10)] * 8 + [right(20), right(10)])


def test_bounds_of_the_warm_up():
    assert (warmup.MIN_EPOCHS, warmup.MAX_EPOCHS) == (10, 30)


def test_a_falling_agreement_ends_it():
    assert warmup.is_over([right(30)] * 9 + [right(10)])


def test_each_net_leaves_out_other_rows():
    parts = warmup.hold_out(300, 2, torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == [30, 30]
    assert len(set(torch.cat(parts).tolist())) == 60 and int(torch.cat(parts).max()) < 300
    again = warmup.hold_out(300, 2, torch.Generator().manual_seed(0))
    assert all(torch.equal(one, other) for one, other in zip(parts, again, strict=True))
    assert len(warmup.hold_out(300, 1, torch.Generator())) == 1
    assert parts[0].tolist() != sorted(parts[0].tolist())  # drawn, not cut off


def test_at_least_25_and_at_most_2000_rows_are_left_out():
    generator = torch.Generator().manual_seed(0)
    assert warmup.hold_out(249, 2, generator) is None
    assert [len(part) for part in warmup.hold_out(259, 2, generator)] == [25, 25]
    assert [len(part) for part in warmup.hold_out(20_500, 2, generator)] == [2000, 2000]
    assert [len(part) for part in warmup.hold_out(19_990, 2, generator)] == [1999, 1999]
