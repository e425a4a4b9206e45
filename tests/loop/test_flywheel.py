"""Figure 2 step by step, on two nets that are tables of ten rows."""

import math
from functools import partial

import pytest
import torch
from tables import (
    F_PROB,
    G_PROB,
    GIVEN,
    ROWS,
    WEIGHTS,
    K,
    N,
    Neighbours,
    Q,
    flywheel,
    linear_trainer,
    loader,
    logits_of,
    onehot,
    prob_of,
    settings,
    table_trainer,
)
from torch.testing import assert_close

from noisyflywheel import em
from noisyflywheel.em.losses import contrastive_loss, soft_target_cross_entropy
from noisyflywheel.loop import main_em
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.parts import rows_above_zero

AGREEMENT = float((F_PROB.argmax(1) == GIVEN).double().mean())
EPS = torch.linspace(0.1, 0.6, N, dtype=torch.float64)


def after_warm_up(**changes):
    """At the first cycle: gamma is the agreement of f, f's guess its prediction."""
    made = flywheel(**changes)
    made.start_cycles()
    return made


# before the cycles


def test_rows_of_weight_zero_take_no_part():
    assert rows_above_zero(GIVEN, None).tolist() == list(range(N))
    weights = WEIGHTS.clone()
    weights[[2, 5]] = 0
    assert rows_above_zero(GIVEN, weights).tolist() == [0, 1, 3, 4, 6, 7, 8, 9]
    assert flywheel(sample_weight=weights).all_rows.tolist() == [0, 1, 3, 4, 6, 7, 8, 9]
    assert rows_above_zero(GIVEN.to("meta"), None).device.type == "meta"


def test_a_flywheel_before_its_warm_up():
    made = flywheel()
    assert (made.first_cycle, made.has_held_out, made.decisions) == (0, False, [])
    assert made.is_guarded and made.n_epochs_at_most == 30 and made.hold == 0.4
    assert_close(made.state.gamma, torch.tensor(1 / K, dtype=torch.float64))
    assert made.training_weights is None and flywheel(sample_weight=WEIGHTS).training_weights is WEIGHTS


def test_cycles_start_with_the_agreement_of_f_and_a_uniform_eps():
    made = after_warm_up()
    s = made.state
    assert 0 < AGREEMENT < 1
    assert float(s.gamma) == pytest.approx(AGREEMENT)
    assert_close(s.q, torch.full((N,), AGREEMENT, dtype=torch.float64))
    assert_close(s.eps, torch.full((N,), 1 / K, dtype=torch.float64))
    assert_close(s.f_prob, F_PROB)
    assert torch.equal(s.y_hat, GIVEN) and s.cycle == 0


def test_cycles_start_with_a_weighted_agreement_of_the_rows_that_take_part():
    weights = WEIGHTS.clone()
    weights[[2, 5]] = 0
    s = after_warm_up(sample_weight=weights).state
    right = (F_PROB.argmax(1) == GIVEN).double()
    assert float(s.gamma) == pytest.approx(float((right * weights).sum() / weights.sum()))
    assert_close(s.f_prob[[2, 5]], torch.full((2, K), 1 / K))  # not known yet


def test_gamma_starts_off_both_ends():
    assert float(after_warm_up(given=F_PROB.argmax(1)).state.gamma) == pytest.approx(1 - 1e-4)
    assert float(after_warm_up(given=F_PROB.argmin(1)).state.gamma) == pytest.approx(1e-4)


def test_there_is_one_round():
    made = flywheel(n_cycles=7)
    assert made.undo_round() is False and made.begin_round() is False and made.n_cycles_of_round == 7
    assert made.n_rounds == 1


def test_a_warm_up_epoch_is_cross_entropy_of_both_nets_on_the_given_labels():
    made = flywheel(lr=N)
    loss = made.warm_up_epoch()
    for trainer, before in ((made.main, G_PROB), (made.aux, F_PROB)):
        assert_close(before.log() - logits_of(trainer), before - onehot(GIVEN))
    assert loss == pytest.approx(float(-F_PROB.log()[ROWS, GIVEN].mean()))


def test_a_warm_up_epoch_shows_weak_views_and_weighs_rows():
    made = flywheel(lr=N, views=Neighbours(), sample_weight=WEIGHTS)
    made.warm_up_epoch()
    target, weights = onehot(GIVEN).roll(1, 0), WEIGHTS.roll(1)[:, None].float()
    assert_close(F_PROB.log() - logits_of(made.aux), weights * (F_PROB - target))


def test_warm_up_steps_follow_the_batch_size_and_tell_the_given_labels():
    made = flywheel(batch_size=4)
    steps = list(made.warm_up_steps(made.main, ROWS))
    assert [len(step.x) for step in steps] == [4, 4, 2]
    assert all(torch.equal(step.labels, GIVEN[step.x[:, 0].long()]) for step in steps)


def test_each_net_leaves_its_held_out_rows_out():
    made = flywheel()
    made.warm_up_epoch([torch.tensor([1, 4]), torch.tensor([7])])
    assert still_rows(made.main, G_PROB) == [1, 4] and still_rows(made.aux, F_PROB) == [7]


@pytest.mark.parametrize("seed", range(5))
def test_drawn_rows_of_the_warm_up_are_none_that_are_held_out(seed):
    """With two rows a cycle, taken from all ten and then left out, nothing or one row would often be left."""
    made = flywheel(cycle_size=2)
    made.loader.order.manual_seed(seed)
    held_out = torch.tensor([0, 1, 2, 3, 4, 5, 6])
    for _ in range(5):
        seen = []
        steps = made.warm_up_steps
        made.warm_up_steps = lambda trainer, rows, steps=steps, seen=seen: seen.append(rows) or steps(trainer, rows)
        made.warm_up_epoch([held_out, held_out])
        made.warm_up_steps = steps
        assert all(len(rows) == 2 and set(rows.tolist()) <= {7, 8, 9} for rows in seen) and len(seen) == 2


def still_rows(trainer, before):
    """Rows whose prediction has not moved."""
    moved = (prob_of(trainer) - before).abs().sum(1) > 1e-6
    return [row for row in range(N) if not moved[row]]


def test_agreement_on_held_out_rows_is_of_each_net_on_its_own():
    made = flywheel()
    held_out = [torch.tensor([0, 3, 8]), torch.tensor([2, 9])]
    expected = torch.cat([G_PROB.argmax(1)[held_out[0]], F_PROB.argmax(1)[held_out[1]]]) == GIVEN[torch.cat(held_out)]
    assert torch.equal(made.held_out_record(held_out), expected)
    assert expected.any() and not expected.all()


# step 1


def e_step_by_hand(gamma, eps=1 / K, g_prob=G_PROB):
    own = g_prob[ROWS, GIVEN].double()
    return gamma * own / (gamma * own + (1 - gamma) * eps)


def test_e_step_of_g():
    made = after_warm_up(calibrate=False)
    made.state.gamma, made.state.eps = torch.tensor(0.3, dtype=torch.float64), EPS.clone()
    made._e_step_main(ROWS)
    s = made.state
    assert_close(s.q, e_step_by_hand(0.3, EPS), rtol=1e-5, atol=0)
    assert float(s.gamma) == pytest.approx(float(s.q.mean()))
    assert s.temperature == 1.0
    score = (G_PROB[ROWS, GIVEN] + F_PROB[ROWS, GIVEN]) / 2
    assert_close(s.quality_sum, score.double(), rtol=1e-5, atol=0)
    assert torch.equal(s.n_scored, torch.ones(N, dtype=torch.float64))


def test_e_step_of_g_on_some_rows_leaves_the_others():
    made = after_warm_up(calibrate=False)
    rows = torch.tensor([1, 8])
    made._e_step_main(rows)
    s = made.state
    assert_close(s.q[rows], e_step_by_hand(AGREEMENT)[rows], rtol=1e-5, atol=0)
    assert_close(s.q[[0, 2]], torch.full((2,), AGREEMENT, dtype=torch.float64))
    assert float(s.gamma) == pytest.approx(float(s.q[rows].mean()))
    assert s.n_scored.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]


def test_e_step_of_g_weighs_rows_in_gamma():
    made = after_warm_up(calibrate=False, sample_weight=WEIGHTS)
    made._e_step_main(ROWS)
    s = made.state
    assert float(s.gamma) == pytest.approx(float((s.q * WEIGHTS).sum() / WEIGHTS.sum()))


def test_gamma_is_held_until_lambda_has_its_weight():
    made = after_warm_up(g_prob=SURE)  # calibrate="auto", ramp of two cycles, no overconfidence
    for cycle, gamma in [(0, AGREEMENT), (1, AGREEMENT), (2, 0.9)]:
        made.state.cycle, made.state.gamma = cycle, torch.tensor(0.9, dtype=torch.float64)
        made._e_step_main(ROWS)
        assert_close(made.state.q, e_step_by_hand(gamma, g_prob=SURE), rtol=1e-5, atol=0)


@pytest.mark.parametrize("changes", [{"calibrate": False}, {"refurbish": False}])
def test_gamma_is_not_held_without_auto_or_without_f(changes):
    made = after_warm_up(**changes)
    made.state.gamma = torch.tensor(0.9, dtype=torch.float64)
    made._e_step_main(ROWS)
    assert_close(made.state.q, e_step_by_hand(0.9), rtol=1e-5, atol=0)


# when g is calibrated

SURE = torch.full((N, K), 0.01)
SURE[ROWS, F_PROB.argmax(1)] = 0.98
"""Agrees with f everywhere and is .02 less sure than that."""

WRONG = torch.full((N, K), 0.01)
WRONG[ROWS, F_PROB.argmin(1)] = 0.98
"""Surer by .98 than its agreement with f."""


def calibrates(log_g, cycle=9, first_cycle=0, **changes):
    made = after_warm_up(**changes)
    made.state.cycle, made.first_cycle = cycle, first_cycle
    return made._calibrates(partial(main_em.is_overconfident, log_g.log(), F_PROB))


def test_g_is_calibrated_where_it_is_overconfident():
    assert calibrates(WRONG) is True
    assert calibrates(SURE) is False


def test_g_is_calibrated_after_the_ramp_or_with_averaged_weights():
    assert [calibrates(WRONG, cycle) for cycle in (0, 1, 2)] == [False, False, True]
    assert [calibrates(WRONG, cycle, first_cycle=5) for cycle in (5, 6, 7)] == [False, False, True]
    assert calibrates(WRONG, 0, average_epochs=1.0) is True
    assert calibrates(SURE, 0, average_epochs=1.0) is False


def test_calibration_always_never_and_without_f():
    assert calibrates(SURE, 0, calibrate=True) is True
    assert calibrates(WRONG, calibrate=False) is False
    assert calibrates(WRONG, refurbish=False) is False
    assert calibrates(WRONG, refurbish=False, average_epochs=1.0) is False


def test_a_calibrated_e_step_notes_its_temperature():
    made = after_warm_up(g_prob=WRONG, calibrate=True)
    made._e_step_main(ROWS)
    found = main_em.e_step(
        WRONG.log(), F_PROB, GIVEN, made.state.gamma, torch.full((N,), 1 / K).double(), calibrate=True
    )
    assert made.state.temperature == found.temperature > 1
    assert_close(made.state.q, found.q)


# steps 2 and 3


def test_e_step_of_f_is_its_guess_and_is_known_after_the_first_cycle():
    made = after_warm_up(views=Neighbours())
    made._e_step_auxiliary(ROWS)
    assert_close(made.state.f_prob, (F_PROB + F_PROB.roll(-1, 0)) / 2)
    made.state.cycle, made.state.f_prob = 1, torch.zeros(N, K)
    made._e_step_auxiliary(ROWS)
    assert not made.state.f_prob.any()


def aligned(prob, given, weights=None):
    """By hand: what `distribution_alignment` makes of a guess."""
    w = torch.ones(len(given)) if weights is None else weights.float()
    counts = torch.stack([w[given == k].sum() for k in range(K)])
    scaled = prob * (counts + 1) / ((w[:, None] * prob).sum(0) + 1)
    return scaled / scaled.sum(1, keepdim=True)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
def test_the_guess_of_f_is_aligned_with_the_given_labels(weights):
    made = after_warm_up(distribution_alignment=0.5, n_cycles=4, sample_weight=weights)
    made._e_step_auxiliary(ROWS)
    expected = aligned(F_PROB, GIVEN, weights)
    assert_close(made.state.f_prob, expected)
    assert (expected - F_PROB).abs().max() > 0.05
    made._resample(ROWS)
    assert_close(made.state.f_prob, expected)


def test_the_guess_is_aligned_in_the_first_cycles_of_both_fits():
    made = after_warm_up(distribution_alignment=0.5, n_cycles=4)
    cycles = {}
    for made.first_cycle in (0, 2):
        cycles[made.first_cycle] = []
        for cycle in range(6):
            made.state.cycle = cycle
            made._resample(ROWS)
            if not torch.allclose(made.state.f_prob, F_PROB):
                cycles[made.first_cycle].append(cycle)
    assert cycles == {0: [0, 1], 2: [0, 1, 2]}


def test_the_guess_of_drawn_rows_is_aligned_with_their_labels():
    made = after_warm_up(distribution_alignment=1.0, cycle_size=6)
    rows = torch.tensor([2, 4, 5])
    made._e_step_auxiliary(rows)
    assert_close(made.state.f_prob[rows], aligned(F_PROB[rows], GIVEN[rows]))


def test_e_step_of_f_is_made_in_every_cycle_that_draws_its_rows():
    made = after_warm_up(cycle_size=6)
    made.state.cycle, made.state.f_prob = 1, torch.zeros(N, K)
    rows = torch.tensor([2, 4])
    made._e_step_auxiliary(rows)
    assert_close(made.state.f_prob[rows], F_PROB[rows])
    assert not made.state.f_prob[[0, 1, 3]].any()


def test_rows_that_were_not_drawn_are_judged_by_the_last_nets():
    """The closing E-step predicts every row anew, with eps by T_c, also those of no cycle."""
    made = after_warm_up(cycle_size=3)
    made.cycle()
    made.state.f_prob[:], made.state.eps[:] = 1 / K, 0.9
    seen = {}
    original = made._e_step_main
    made._e_step_main = lambda rows: (
        seen.update(f=made.state.f_prob.clone(), eps=made.state.eps.clone()) or original(rows)
    )
    made.close()
    f_prob = prob_of(made.aux)
    assert_close(seen["f"], f_prob)
    assert_close(seen["eps"], em.error_probability(f_prob, made.state.corruption, GIVEN).double())


def test_without_f_there_is_no_guess_and_no_m_step():
    made = after_warm_up(refurbish=False)
    assert made.trainers == [made.main]
    made.state.f_prob = torch.zeros(N, K)
    made._e_step_auxiliary(ROWS)
    assert not made.state.f_prob.any()
    assert math.isnan(made._m_step_auxiliary(ROWS))
    assert_close(prob_of(made.main), G_PROB)


def test_m_step_of_f_trains_it_and_finds_both_matrices():
    made = after_warm_up(lr=N, sharpen_temperature=0.5, sample_weight=WEIGHTS)
    made.state.q = Q.clone()
    loss = made._m_step_auxiliary(ROWS)
    weights = WEIGHTS[:, None]
    T = em.transition_matrix(em.refurbish(Q, GIVEN, F_PROB) * weights, GIVEN)
    assert_close(made.state.transition, T)
    assert_close(made.state.corruption, em.corruption_matrix(Q, F_PROB * weights, GIVEN))
    sharp = F_PROB**2 / (F_PROB**2).sum(1, keepdim=True)
    target = em.refurbish(Q, GIVEN, sharp).float()
    assert_close(F_PROB.log() - logits_of(made.aux), weights.float() * (F_PROB - target))
    assert loss == pytest.approx(float(-(weights * target * F_PROB.log()).sum(1).mean()))


def test_m_step_of_f_mixes_where_asked():
    made = after_warm_up(mixup_alpha=4.0)
    made.aux.epoch = lambda steps: sum(len(step.x) for step in steps)
    assert made._m_step_auxiliary(ROWS) == 2 * N


# step 4


def test_resampling_finds_labels_and_eps_with_the_updated_f():
    made = after_warm_up()
    s = made.state
    s.q, s.f_prob = Q.clone(), torch.full((N, K), 1 / K)
    s.corruption = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]], dtype=torch.float64)
    made._resample(ROWS)
    assert_close(s.f_prob, F_PROB)
    assert torch.equal(s.y_hat, em.refurbish(Q, GIVEN, F_PROB).argmax(1))
    assert not torch.equal(s.y_hat, F_PROB.argmax(1)) and not torch.equal(s.y_hat, GIVEN)
    by_hand = (F_PROB.double() * s.corruption.T[GIVEN]).sum(1)
    assert_close(s.eps, by_hand, rtol=1e-5, atol=0)


def test_resampling_by_f_alone_and_with_a_uniform_eps():
    made = after_warm_up(resample="argmax", noise_model="uniform")
    made.state.q = Q.clone()
    made.state.corruption = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]], dtype=torch.float64)
    made._resample(ROWS)
    assert torch.equal(made.state.y_hat, F_PROB.argmax(1))
    assert_close(made.state.eps, torch.full((N,), 1 / K, dtype=torch.float64))


def test_resampling_of_some_rows_leaves_the_others():
    made = after_warm_up(resample="argmax", cycle_size=6)
    made.state.corruption = torch.full((K, K), 0.25, dtype=torch.float64)
    made._resample(torch.tensor([1, 2]))
    changed = GIVEN.clone()
    changed[[1, 2]] = F_PROB.argmax(1)[[1, 2]]
    assert torch.equal(made.state.y_hat, changed) and not torch.equal(changed, GIVEN)
    assert_close(made.state.eps, torch.tensor([1 / 3, 0.25, 0.25] + [1 / 3] * 7, dtype=torch.float64))


def test_without_f_the_prediction_of_g_is_kept():
    made = after_warm_up(refurbish=False)
    made.state.f_prob = torch.zeros(N, K)
    made._resample(ROWS)
    assert_close(made.state.f_prob, G_PROB)
    assert torch.equal(made.state.y_hat, GIVEN)


@pytest.mark.parametrize("first_cycle", [0, 3])
def test_posteriors_are_summed_over_the_later_half_of_the_cycles(first_cycle):
    made = after_warm_up(n_cycles=5)
    made.first_cycle, made.state.q = first_cycle, Q.clone()
    counted = []
    for cycle in range(5):
        made.state.cycle = first_cycle + cycle
        made._resample(ROWS)
        counted.append(float(made.state.n_late[0]))
    assert counted == [0, 0, 1, 2, 3]
    assert_close(made.state.q_sum, 3 * Q)
    assert_close(made.state.f_given_sum, 3 * F_PROB[ROWS, GIVEN].double(), rtol=1e-5, atol=0)


# step 5


def main_move_by_hand(target, weight, prior, clean=1.0):
    return clean * (G_PROB - onehot(target)) + weight * (prior - G_PROB)


def prior_of(labels):
    return (torch.bincount(labels, minlength=K) + 1).float() / (N + K)


@pytest.mark.parametrize("guard", [True, False])
def test_m_step_of_g_goes_to_the_resampled_labels(guard):
    made = after_warm_up(lr=N, guard=guard, cr_ramp=0)
    y_hat = torch.tensor([0, 0, 0, 0, 0, 0, 0, 1, 0, 2])
    made.state.y_hat = y_hat.clone()
    made._m_step_main(ROWS)
    prior = prior_of(y_hat)
    weight = 0.25 / float(prior.max() - prior.min()) if guard else 3.0
    assert 0.25 / float(prior.max() - prior.min()) < 1
    move = G_PROB.log() - logits_of(made.main)
    assert_close(move, main_move_by_hand(y_hat, weight, prior), atol=1e-5, rtol=0)


def test_m_step_of_g_has_the_lambda_of_the_cycle():
    made = after_warm_up(lr=N, guard=False)
    made.state.cycle = 1  # of a ramp of two
    made._m_step_main(ROWS)
    move = G_PROB.log() - logits_of(made.main)
    assert_close(move, main_move_by_hand(GIVEN, 1.5, prior_of(GIVEN)), atol=1e-5, rtol=0)


def test_m_step_of_g_without_f_goes_to_the_given_labels_that_are_clean():
    made = after_warm_up(lr=N, guard=False, refurbish=False, cr_ramp=0)
    made.state.q, made.state.y_hat = Q.clone(), GIVEN.roll(1)
    made._m_step_main(ROWS)
    move = G_PROB.log() - logits_of(made.main)
    expected = main_move_by_hand(GIVEN, 3.0, prior_of(GIVEN), Q[:, None].float())
    assert_close(move, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("refurbish", [True, False])
def test_m_step_of_g_weighs_rows_and_their_classes(refurbish):
    made = after_warm_up(lr=N, guard=False, refurbish=refurbish, cr_ramp=0, sample_weight=WEIGHTS)
    made.state.q = Q.clone()
    made._m_step_main(ROWS)
    counts = torch.bincount(GIVEN, WEIGHTS, minlength=K).float() + 1
    clean = 1.0 if refurbish else Q[:, None].float()
    expected = WEIGHTS[:, None].float() * main_move_by_hand(GIVEN, 3.0, counts / counts.sum(), clean)
    assert_close(G_PROB.log() - logits_of(made.main), expected, atol=1e-5, rtol=0)


# a cycle


def test_a_cycle_is_the_five_steps_in_order(monkeypatch):
    made = after_warm_up()
    done = []
    for name in ("_e_step_main", "_e_step_auxiliary", "_m_step_auxiliary", "_resample", "_m_step_main"):
        original = getattr(made, name)
        monkeypatch.setattr(made, name, lambda rows, n=name, f=original: done.append(n) or f(rows))
    row = made.cycle()
    assert done == ["_e_step_main", "_e_step_auxiliary", "_m_step_auxiliary", "_resample", "_m_step_main"]
    assert made.state.cycle == row["cycle"] == 1
    assert (
        isinstance(row["gamma"], float)
        and row["gamma"] == float(made.state.gamma)
        and row["temperature"] == made.state.temperature
    )
    assert row["cr_weight"] == 1.5  # of the next cycle
    assert row["agreement"] == pytest.approx(float((made.state.f_prob.argmax(1) == GIVEN).float().mean()))
    steps = ("main_e", "auxiliary_e", "auxiliary_m", "resample", "main_m")
    assert all(row[f"{step}_seconds"] >= 0 for step in steps)
    assert made.cycle()["cycle"] == 2


def test_losses_of_a_cycle_are_those_of_its_m_steps(monkeypatch):
    made = after_warm_up()
    monkeypatch.setattr(made, "_m_step_auxiliary", lambda rows: 0.25)
    monkeypatch.setattr(made, "_m_step_main", lambda rows: 0.5)
    row = made.cycle()
    assert (row["auxiliary_loss"], row["main_loss"]) == (0.25, 0.5)


def test_figures_of_a_cycle_are_of_the_rows_that_took_part(monkeypatch):
    made = after_warm_up(cycle_size=3)
    rows = made.steps_to_resampling()
    row = made.step_after_resampling(rows)
    agreement = (made.state.f_prob.argmax(1) == GIVEN)[rows["rows"]].float().mean()
    assert len(rows["rows"]) == 3 and row["agreement"] == pytest.approx(float(agreement))


@pytest.mark.parametrize("weights", [None, torch.tensor([0.0, 1, 1, 1, 1, 1, 1, 1, 1, 1]).double()])
def test_rows_of_a_cycle_are_all_or_balanced_ones(weights):
    made = flywheel(sample_weight=weights)
    assert torch.equal(made._draw_rows(made.all_rows), made.all_rows)
    few = flywheel(cycle_size=6, sample_weight=weights)
    rows = few._draw_rows(few.all_rows)
    assert torch.bincount(GIVEN[rows]).tolist() == [2, 2, 2]
    assert set(rows.tolist()) <= set(few.all_rows.tolist())
    assert any(not torch.equal(few._draw_rows(few.all_rows), rows) for _ in range(5))


def test_learning_rates_follow_the_cycles_of_both_fits():
    made = flywheel(n_cycles=5)
    made.main, made.aux = (table_trainer(G_PROB, lr=2.0, scheduled=True) for _ in range(2))
    made.trainers = [made.main, made.aux]

    def rates(first_cycle):
        made.first_cycle, found = first_cycle, []
        for cycle in range(5):
            made.state.cycle = first_cycle + cycle
            made._schedule_learning_rates()
            found.append([trainer.net.optimizer_.param_groups[0]["lr"] for trainer in made.trainers])
        return found

    assert_close(torch.tensor(rates(0)), torch.tensor([2, 2, 2, 1.5, 0.5])[:, None].expand(5, 2))
    later = [1 - (cycle / 10 - 0.4) / 0.6 for cycle in range(5, 10)]  # of ten cycles in all
    expected = [1 - math.cos(math.pi * rest) for rest in later]
    assert_close(torch.tensor(rates(5)), torch.tensor(expected)[:, None].expand(5, 2))
    made.loader.vectors = False
    cosine = [1 + math.cos(math.pi * cycle / 5) for cycle in range(5)]
    assert_close(torch.tensor(rates(0)), torch.tensor(cosine)[:, None].expand(5, 2))


def test_a_cycle_sets_its_learning_rate_before_it_trains():
    made = after_warm_up(n_cycles=4)
    made.aux = table_trainer(F_PROB, lr=2.0, scheduled=True)
    made.trainers = [made.main, made.aux]
    made.state.cycle = 4
    made.cycle()
    assert_close(prob_of(made.aux), F_PROB)  # the rate is 0 at the end


# closing E-step


def test_closing_e_step_takes_the_last_nets_on_the_rows_as_they_are():
    made = after_warm_up(views=Neighbours(), calibrate=False)
    made.state.f_prob = torch.full((N, K), 1 / K)
    found = made.close()
    assert_close(found.quality, made.state.quality_sum)
    assert torch.equal(found.predicted, F_PROB.argmax(1))
    assert_close(found.confidence, F_PROB.max(1).values)
    assert_close(made.state.q, e_step_by_hand(AGREEMENT), rtol=1e-5, atol=0)
    assert_close(made.state.f_prob, F_PROB)
    without = after_warm_up(refurbish=False)
    without.state.f_prob = F_PROB.clone()
    without.close()
    assert_close(without.state.f_prob, G_PROB)


def test_averaged_weights_are_the_nets_own_at_the_end():
    made = after_warm_up(average_epochs=2.0, batch_size=4)
    made.cycle()
    live = [logits_of(trainer).clone() for trainer in made.trainers]
    made.close()
    for trainer, before in zip(made.trainers, live, strict=True):
        assert torch.equal(logits_of(trainer), trainer.average.mean[0]) and not torch.equal(logits_of(trainer), before)


@pytest.mark.parametrize("noise_model", ["class", "uniform"])
def test_rows_of_weight_zero_are_judged_at_the_end(noise_model):
    weights = WEIGHTS.clone()
    weights[[2, 5]] = 0
    made = after_warm_up(views=Neighbours(), sample_weight=weights, calibrate=False, noise_model=noise_model)
    s = made.state
    s.gamma = torch.tensor(0.3, dtype=torch.float64)
    s.corruption = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]], dtype=torch.float64)
    before = s.eps.clone()
    made.close()
    guess = ((F_PROB + F_PROB.roll(-1, 0)) / 2).double()
    late = (guess * s.corruption.T[GIVEN]).sum(1)[[2, 5]] if noise_model == "class" else before[[2, 5]]
    assert_close(s.eps[[2, 5]], late, rtol=1e-5, atol=0)
    assert torch.equal(s.eps[[0, 1, 3, 4]], before[[0, 1, 3, 4]])
    assert_close(s.q, e_step_by_hand(0.3, s.eps), rtol=1e-5, atol=0)
    assert s.n_scored.tolist() == [1] * N
    assert_close(s.f_prob, F_PROB)
    score = (G_PROB[ROWS, GIVEN].double() + guess[ROWS, GIVEN]) / 2
    assert_close(s.quality_sum[[2, 5]], score[[2, 5]], rtol=1e-5, atol=0)


# parts


def linear_flywheel(**changes):
    """f reads one number, so that it has features."""
    return Flywheel(table_trainer(G_PROB), linear_trainer(), loader(), GIVEN, K, settings(**changes))


def test_a_head_is_made_for_the_contrastive_loss_and_trained_by_fs_optimizer():
    made = linear_flywheel(contrastive_weight=0.025)
    assert made.head.project.in_features == 1
    groups = made.aux.net.optimizer_.param_groups
    trained = [*made.aux.net.module_.parameters(), *made.head.parameters()]
    assert len(groups) == 1 and {id(p) for p in groups[0]["params"]} == {id(p) for p in trained}


@pytest.mark.parametrize(
    "made",
    [
        lambda: linear_flywheel(contrastive_weight=0.0),
        lambda: Flywheel(table_trainer(G_PROB), linear_trainer(), loader(), GIVEN, K,
                         settings(contrastive_weight=0.025, refurbish=False)),
    ],
)  # fmt: skip
def test_no_head_where_there_is_no_contrastive_loss(made):
    assert made().head is None


def test_a_contrastive_loss_needs_features():
    with pytest.raises(ValueError, match="contrastive_weight > 0 needs features, but Table has neither"):
        flywheel(contrastive_weight=0.025)


def test_m_step_of_f_takes_the_head():
    made = linear_flywheel(contrastive_weight=0.5)
    made.aux.epoch = list
    made.start_cycles()
    (step,) = made._m_step_auxiliary(ROWS)
    assert step.more == 2 * N
    rows, log_f = step.x[:, 0].long(), torch.log(F_PROB)
    s = made.state
    target = em.refurbish(s.q, GIVEN, s.f_prob)[rows].float()
    contrast = contrastive_loss(*made.head(torch.cat([step.x, step.x])).chunk(2))
    assert_close(step.loss(log_f), soft_target_cross_entropy(log_f, target) + 0.5 * contrast)


def test_weights_are_averaged_over_epochs():
    assert flywheel(average_epochs=0).main.average is None
    made = flywheel(average_epochs=2.0, batch_size=4)
    assert [trainer.average.horizon for trainer in made.trainers] == [2.0 * 10 / 4] * 2
    assert flywheel(average_epochs=2.0, batch_size=-1).main.average.horizon == 2  # all rows in one step
    assert flywheel(average_epochs=3.0, batch_size=64).main.average.horizon == 3  # a step an epoch at least
    assert flywheel(average_epochs=1.0, batch_size=4, refurbish=False).main.average.horizon == 2.5
    assert flywheel(average_epochs=2.0, batch_size=2, cycle_size=6).main.average.horizon == 6  # epochs of six rows
    of_eight = torch.tensor([0.0, 0.0, *[1.25] * 8], dtype=torch.float64)
    assert flywheel(sample_weight=of_eight, average_epochs=2.0, batch_size=1).main.average.horizon == 8  # two a step


def test_a_flywheel_goes_on_bitwise_from_its_saved_state():
    made = after_warm_up(batch_size=4, average_epochs=2.0)
    made.cycle()
    saved = made.state_dict()
    torch.manual_seed(0)
    first = made.cycle(), made.state.q.clone(), logits_of(made.main).clone(), logits_of(made.aux).clone()
    other = after_warm_up(batch_size=4, average_epochs=2.0)
    other.load_state_dict(saved)
    again = other.cycle(), other.state.q, logits_of(other.main), logits_of(other.aux)
    figures = [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in (first[0], again[0])]
    assert figures[0] == figures[1]
    assert all(torch.equal(one, two) for one, two in zip(first[1:], again[1:], strict=True))


def test_the_global_random_state_and_the_head_are_part_of_a_saved_state():
    made = linear_flywheel(contrastive_weight=0.025)
    torch.manual_seed(1)
    saved = made.state_dict()
    expected, weight = torch.rand(2), made.head.project.weight.detach().clone()
    with torch.no_grad():
        made.head.project.weight.add_(1)
    made.load_state_dict(saved)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(made.head.project.weight, weight)
    with torch.no_grad():
        made.head.project.weight.add_(1)
    assert torch.equal(saved["head"]["project.weight"], weight)  # copied
    assert flywheel().state_dict()["head"] is None and "cuda" not in saved
    made.load_state_dict(saved | {"head": None})  # of a fit without one
