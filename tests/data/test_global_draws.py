"""Global random generators are put back, and what moved them is told."""

import random

import numpy as np
import pytest
import torch

from noisyflywheel.data.global_draws import globals_kept, seed_globals


def next_numbers():
    """The next numbers of each generator."""
    return torch.rand(3).tolist(), np.random.randn(3).tolist(), [random.gauss(0, 1) for _ in range(3)]  # noqa: NPY002


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(()),
        lambda: np.random.rand(),  # noqa: NPY002
        lambda: np.random.randn(),  # noqa: NPY002
        lambda: random.random(),
        lambda: random.gauss(0, 1),
        lambda: seed_globals(8),
    ],
    ids=["torch", "numpy", "normal of numpy", "Python", "gauss of Python", "seeds"],
)
def test_generators_are_as_before_and_moves_are_told(draw):
    seed_globals(5)
    expected = next_numbers()
    seed_globals(5)
    with globals_kept() as moved:
        draw()
        assert not moved
    assert moved and next_numbers() == expected


def test_the_second_normal_of_a_pair_is_told_too():
    """numpy keeps it beside the generator, which then does not move."""
    seed_globals(5)
    np.random.randn()  # noqa: NPY002
    with globals_kept() as moved:
        second = np.random.randn()  # noqa: NPY002
    assert moved and second == np.random.randn()  # noqa: NPY002


def test_what_does_not_draw_moves_nothing():
    with globals_kept() as moved:
        np.random.default_rng(0).random()
        torch.rand(2, generator=torch.Generator())
    assert not moved


def test_generators_are_put_back_where_an_error_ends_the_reading():
    seed_globals(5)
    expected = next_numbers()
    seed_globals(5)
    with pytest.raises(OSError), globals_kept():
        torch.rand(())
        raise OSError
    assert next_numbers() == expected
