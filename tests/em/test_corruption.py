"""T, T_c and Eq. (14): rows = true class, columns = given class."""

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.em import corruption_matrix, error_probability, refurbish, transition_matrix
from noisyflywheel.em.corruption import row_normalised

F_PROB = torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]], dtype=torch.float64)
GIVEN = torch.tensor([0, 1, 1])
Q = torch.tensor([0.5, 0.0, 0.25], dtype=torch.float64)


def test_transition_matrix_by_hand():
    q_y = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.75, 0.25]], dtype=torch.float64)
    T = transition_matrix(q_y, GIVEN)
    expected = torch.tensor([[0.75, 1.0], [0.25, 1.0]], dtype=torch.float64)  # mass of class y under label y'
    torch.testing.assert_close(T, expected / torch.tensor([[1.75], [1.25]]).double())


def test_corruption_matrix_by_hand():
    T_c = corruption_matrix(Q, F_PROB, GIVEN)
    expected = torch.tensor([[0.25, 1.0], [0.25, 0.75]], dtype=torch.float64)
    torch.testing.assert_close(T_c, expected / torch.tensor([[1.25], [1.0]]).double())


def test_corruption_matrix_is_the_transition_matrix_where_nothing_is_clean():
    zero = torch.zeros(3, dtype=torch.float64)
    T = transition_matrix(refurbish(zero, GIVEN, F_PROB), GIVEN)
    torch.testing.assert_close(corruption_matrix(zero, F_PROB, GIVEN), T)


def test_empty_rows_are_uniform():
    f_prob = torch.tensor([[1.0, 0.0, 0.0]])
    T_c = corruption_matrix(torch.zeros(1), f_prob, torch.tensor([2]))
    torch.testing.assert_close(T_c[1:], torch.full((2, 3), 1 / 3, dtype=torch.float64))
    torch.testing.assert_close(T_c[0], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    all_clean = corruption_matrix(torch.ones(3), F_PROB.float(), GIVEN)
    torch.testing.assert_close(all_clean, torch.full((2, 2), 0.5, dtype=torch.float64))


def test_orientation_rows_are_true_classes():
    """Class 0 is always labelled 1: the mass lies in row 0, column 1."""
    f_prob = torch.tensor([[1.0, 0.0]] * 4)
    T = transition_matrix(f_prob, torch.ones(4, dtype=torch.int64))
    torch.testing.assert_close(T[0], torch.tensor([0.0, 1.0], dtype=torch.float64))


def test_sums_are_float64_on_many_rows():
    """2^25 float32 ones stop counting at 2^24; a float64 sum does not. Emulated with one large weight."""
    f_prob = torch.tensor([[2.0**24, 0.0], [1.0, 0.0], [1.0, 0.0]])
    T = transition_matrix(f_prob, torch.tensor([0, 0, 1]))
    assert float(T[0, 1] / T[0, 0]) == pytest.approx(1 / (2.0**24 + 1), rel=1e-12)


def test_error_probability_by_hand():
    T_c = torch.tensor([[0.2, 0.8], [0.6, 0.4]], dtype=torch.float64)
    eps = error_probability(F_PROB, T_c, GIVEN)
    expected = [0.5 * 0.2 + 0.5 * 0.6, 0.25 * 0.8 + 0.75 * 0.4, 0.8]
    torch.testing.assert_close(eps, torch.tensor(expected, dtype=torch.float64))


def test_error_probability_is_floored_and_uniform_for_uniform_corruption():
    eps = error_probability(torch.tensor([[1.0, 0.0]]), torch.eye(2).double(), torch.tensor([1]))
    assert float(eps) == pytest.approx(1e-6)
    uniform = torch.full((2, 2), 0.5, dtype=torch.float64)
    torch.testing.assert_close(error_probability(F_PROB, uniform, GIVEN), torch.full((3,), 0.5).double())


def test_recovers_the_law_that_made_the_labels():
    """f right and q the truth: T_c comes out as the corruption that was drawn."""
    rng = torch.Generator().manual_seed(3)
    law = torch.tensor([[0.0, 0.7, 0.3], [0.5, 0.0, 0.5], [0.9, 0.1, 0.0]])
    true = torch.randint(3, (30_000,), generator=rng)
    flipped = torch.rand(30_000, generator=rng) < 0.4
    given = torch.where(flipped, torch.multinomial(law[true], 1, generator=rng).squeeze(1), true)
    f_prob = torch.nn.functional.one_hot(true, 3).float()
    T_c = corruption_matrix((~flipped).float(), f_prob, given)
    torch.testing.assert_close(T_c, law.double(), atol=0.02, rtol=0)
    T = transition_matrix(f_prob, given)
    torch.testing.assert_close(T, 0.6 * torch.eye(3).double() + 0.4 * law.double(), atol=0.02, rtol=0)


def test_a_row_counts_as_empty_up_to_a_mass_of_1e_12():
    given = torch.tensor([1])
    for mass, expected in [(1e-12, [0.5, 0.5]), (1.5e-12, [0.0, 1.0]), (1e-9, [0.0, 1.0])]:
        T = transition_matrix(torch.tensor([[mass, 0.0]], dtype=torch.float64), given)
        torch.testing.assert_close(T[0], torch.tensor(expected, dtype=torch.float64))


def test_gradients_through_an_empty_row_are_finite():
    f_prob = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    transition_matrix(f_prob, torch.tensor([1])).square().sum().backward()
    assert torch.isfinite(f_prob.grad).all()


def test_error_probability_has_the_precision_of_f():
    assert error_probability(F_PROB.float(), torch.eye(2).double(), GIVEN).dtype == torch.float32


def test_rows_of_several_matrices_are_normalised_each():
    mass = torch.arange(18, dtype=torch.float64).reshape(2, 3, 3)
    mass[1, 2] = 0
    found = row_normalised(mass)
    for one, other in zip(found, mass, strict=True):
        assert torch.equal(one, row_normalised(other))
    assert_close(found.sum(-1), torch.ones(2, 3, dtype=torch.float64))
    assert torch.equal(found[1, 2], torch.full((3,), 1 / 3, dtype=torch.float64))
