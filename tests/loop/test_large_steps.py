"""Each step in blocks beside the same step on whole arrays, on ten rows in blocks of three."""

import pytest
import torch
from tables import F_PROB, G_PROB, GIVEN, ROWS, WEIGHTS, K, N, Neighbours, Q, loader, settings, table_trainer
from torch.testing import assert_close

from noisyflywheel.loop import large
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.large import LargeFlywheel

EPS = torch.linspace(0.1, 0.6, N, dtype=torch.float64)
SOME = torch.tensor([7, 0, 3, 4, 9])
FIELDS = ("q", "gamma", "eps", "f_prob", "y_hat", "temperature", "quality_sum", "q_sum", "f_given_sum", "n_late")
WITHOUT_TWO = WEIGHTS.clone()
WITHOUT_TWO[[2, 5]] = 0


@pytest.fixture(autouse=True)
def three_rows(monkeypatch):
    monkeypatch.setattr(large, "BLOCK", 3 * K)


def made(kind, sample_weight=None, f_prob=F_PROB, **changes):
    """At the first cycle, with eps and q that differ from row to row."""
    chosen = settings(**changes)
    main = table_trainer(G_PROB, batch_size=4)
    aux = table_trainer(f_prob, batch_size=4) if chosen.refurbish else main
    wheel = kind(main, aux, loader(Neighbours()), GIVEN, K, chosen, sample_weight)
    wheel.start_cycles()
    wheel.state.eps, wheel.state.q = EPS.clone(), Q.clone()
    return wheel


def both(*args, **changes):
    return [made(kind, *args, **changes) for kind in (Flywheel, LargeFlywheel)]


def assert_same(whole, blocks):
    for name in FIELDS:
        expected, found = getattr(whole.state, name), getattr(blocks.state, name)
        if isinstance(expected, torch.Tensor):
            assert found.dtype == expected.dtype, name
            assert_close(found, expected, msg=name)
        else:
            assert type(found) is type(expected) and found == pytest.approx(expected), name


@pytest.mark.parametrize("weights", [None, WITHOUT_TWO])
def test_the_start_of_the_cycles(weights):
    assert_same(*both(weights))


def test_gamma_starts_off_both_ends():
    whole, blocks = both(f_prob=torch.nn.functional.one_hot(GIVEN, K).float() * 0.9 + 0.1 / 3)
    assert_same(whole, blocks)
    assert blocks.state.gamma < 1


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("calibrate", [True, False, "auto"])
@pytest.mark.parametrize("rows", [ROWS, SOME])
def test_the_e_step_of_g(weights, calibrate, rows):
    whole, blocks = both(weights, calibrate=calibrate)
    for wheel in (whole, blocks):
        wheel._e_step_main(rows)
    assert_same(whole, blocks)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("alignment", [0.0, 1.0])
def test_the_e_step_of_f(weights, alignment):
    whole, blocks = both(weights, distribution_alignment=alignment)
    for wheel in (whole, blocks):
        wheel._e_step_auxiliary(ROWS)
    assert_same(whole, blocks)
    assert blocks._source_aligned is bool(alignment)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("rows", [ROWS, SOME])
def test_both_matrices(weights, rows):
    whole, blocks = both(weights)
    for expected, found in zip(whole._matrices(rows), blocks._matrices(rows), strict=True):
        assert found.dtype == torch.float64
        assert_close(found, expected.double())


@pytest.mark.parametrize("cycle", [2, 3, 4, 5, 7])
@pytest.mark.parametrize(
    "changes",
    [{}, {"noise_model": "uniform"}, {"resample": "argmax"}, {"refurbish": False}, {"n_cycles": 5}],
    ids=str,
)
def test_resampling(cycle, changes):
    whole, blocks = both(**changes)
    for wheel in (whole, blocks):
        wheel.first_cycle, wheel.state.cycle = 2, cycle
        wheel.state.corruption = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]]).double()
        wheel._resample(SOME)
    assert_same(whole, blocks)
    assert bool(blocks.state.n_late.any()) is (cycle - 2 >= changes.get("n_cycles", 4) // 2)


@pytest.mark.parametrize("noise_model", ["class", "uniform"])
@pytest.mark.parametrize("refurbish", [True, False])
def test_rows_that_took_no_part(noise_model, refurbish):
    whole, blocks = both(WITHOUT_TWO, noise_model=noise_model, refurbish=refurbish)
    for wheel in (whole, blocks):
        wheel.state.corruption = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]]).double()
        wheel._join_rows(torch.tensor([2, 5]))
    assert_same(whole, blocks)


@pytest.mark.parametrize("cycles", [0, 1, 3])
@pytest.mark.parametrize("weights", [None, WEIGHTS, WITHOUT_TWO])
def test_the_end(cycles, weights):
    whole, blocks = both(weights)
    for wheel in (whole, blocks):
        for _ in range(cycles):
            wheel.cycle()
    expected, found = whole.close(), blocks.close()
    for name, value in expected._asdict().items():
        other = getattr(found, name)
        if isinstance(value, torch.Tensor):
            assert_close(other.double(), value.double(), msg=name)
        else:
            assert type(other) is type(value) and other == pytest.approx(value), name
    assert found.refurbished is blocks.state.f_prob and found.refurbished.dtype == torch.float32  # one array (N, K)
    assert_close(found.refurbished.sum(1), torch.ones(N))


def test_f_in_16_bits_is_read_as_32(monkeypatch):
    monkeypatch.setattr(large, "HALF", 0)
    whole, blocks = both(WEIGHTS)
    for wheel in (whole, blocks):
        wheel.cycle()
        wheel.cycle()
    assert blocks.state.f_prob.dtype == torch.float16
    for name in ("q", "eps", "gamma"):
        assert getattr(blocks.state, name).dtype == torch.float64
        assert_close(getattr(blocks.state, name), getattr(whole.state, name), atol=5e-3, rtol=5e-3)
    assert blocks.close().refurbished.dtype == torch.float16


def test_f_has_16_bits_beyond_so_many_numbers(monkeypatch):
    for numbers, dtype in ((N * K, torch.float32), (N * K - 1, torch.float16)):
        monkeypatch.setattr(large, "HALF", numbers)
        assert made(LargeFlywheel).state.f_prob.dtype == dtype


def test_blocks_hold_at_least_one_row(monkeypatch):
    for numbers, starts in ((1, [0, 1, 2]), (3 * K, [0]), (2 * K + 1, [0, 2])):
        monkeypatch.setattr(large, "BLOCK", numbers)
        assert [int(block[0]) for block in made(LargeFlywheel)._blocks(ROWS[:3])] == starts


def test_a_state_of_before_alignment_comes_back_without_it():
    wheel = made(LargeFlywheel)
    wheel._keep_guess(ROWS, align=False)
    saved, expected = wheel.state_dict(), wheel.state.f_prob.clone()
    del saved["source_aligned"]
    wheel._keep_guess(ROWS, align=True)
    wheel.load_state_dict(saved)
    assert wheel._source_aligned is False
    assert_close(wheel.state.f_prob, expected)
