"""The out-of-fold flywheel on stacks of tables: what each row is judged by, and what the members learn."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from folded_tables import M, at_first_cycle, out_of_fold, tables_of, tables_trainer, unseen
from tables import GIVEN, ROWS, WEIGHTS, K, N
from torch import nn
from torch.testing import assert_close

from noisyflywheel import em
from noisyflywheel.backbones.trees import N_TREES
from noisyflywheel.em.division import divided_out
from noisyflywheel.loop import closing
from noisyflywheel.loop.closing import close_unseen, mixed, ranked_with
from noisyflywheel.loop.decisions.decide import compare
from noisyflywheel.loop.with_folds.forests import forests_of_refurbished

pytestmark = pytest.mark.usefixtures("quick_folds")


def test_a_warm_up_epoch_moves_members_on_the_rows_of_other_folds():
    made = out_of_fold(lr=M * N)
    before = tables_of(made.aux)
    made.warm_up_epoch([])
    target = nn.functional.one_hot(GIVEN, K).float()
    expected = made.folds.trains[..., None] * (before.softmax(-1) - target)
    assert_close(before - tables_of(made.aux), expected, atol=1e-5, rtol=0)


def losses_by_hand(made):
    rows = []
    for trainer in made.trainers:
        own = unseen(made, tables_of(trainer))[:, ROWS, GIVEN].clamp_min(1e-6)
        rows.append(-own.log().mean(1))
    return torch.stack(rows)


def test_the_warm_up_is_as_long_as_rows_and_batches_ask_for():
    made = out_of_fold()
    made.all_rows, made.aux.net.batch_size = torch.arange(30_001), 64
    assert made.n_epochs_at_most == 10


def test_records_are_losses_on_unseen_rows_and_the_best_members_are_kept():
    made = out_of_fold()
    kept = []
    for i, trainer in enumerate(made.trainers):
        trainer.net.module_.keep = lambda family, i=i: kept.append((i, family))
    first = made.held_out_record([])
    assert_close(first, losses_by_hand(made))
    assert kept == []
    made.keep_best([first])
    assert kept == [(0, 0), (0, 1), (1, 0), (1, 1)]
    kept.clear()
    worse_before = first + torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    made.keep_best([worse_before, first])
    assert kept == [(0, 0), (1, 0)]  # the second families were better before


def test_some_of_many_rows_tell_when_the_warm_up_ends(monkeypatch):
    made = out_of_fold()
    some = torch.arange(0, N, 2)
    monkeypatch.setattr("noisyflywheel.loop.with_folds.folded_parts.some_rows", lambda n, device: some)
    assert made.judged_folds is made.folds and torch.equal(made.judged_rows, ROWS)
    made._set_folds(made.folds)
    assert torch.equal(made.judged_rows, some) and int(made.judged_folds.counts.sum()) == 2 * len(some)
    expected = [
        -unseen(made, tables_of(trainer))[:, some, GIVEN[some]].clamp_min(1e-6).log().mean(1)
        for trainer in made.trainers
    ]
    assert_close(made.held_out_record([]), torch.stack(expected))


def test_impossible_labels_of_unseen_rows_cost_a_finite_loss():
    made = out_of_fold()
    for trainer in made.trainers:
        trainer.net.module_.logits.data = -1e3 * nn.functional.one_hot(GIVEN, K).float().expand(M, N, K)
    assert_close(made.held_out_record([]), torch.full((2, 2), 13.815511))  # -log 1e-6


def test_epochs_that_f_learnt_are_those_of_its_kept_members():
    made = out_of_fold()
    now = made.held_out_record([])
    made.keep_best([now])
    assert made.learnt_epochs == 1
    earlier = [now + torch.tensor([[0.0, 0.0], of_f]) for of_f in ([9.0, 0.0], [9.0, -4.0], [0.0, 9.0])]
    made.keep_best([*earlier, now])  # smoothed, beside now: [9, 9, 4.5, 0] and [0, -2, 2.5, 4.5]
    by_hand = [1 + 7 / 6 + 8 / 6 + 9 / 6, 1 + 7 / 6]  # rates of four and of two epochs
    assert made.learnt_epochs == pytest.approx(sum(by_hand) / 2)


def test_without_held_out_rows_every_epoch_counts():
    made = out_of_fold()
    for _ in range(3):
        made.warm_up_epoch()
    assert made.learnt_epochs == pytest.approx(1 + 7 / 6 + 8 / 6) and made.n_warm_up_epochs == 3


def test_the_rate_of_the_warm_up_rises_to_twice_the_nets_own():
    made, rates = out_of_fold(lr=0.25), []
    made.aux.scheduled = True
    for _ in range(8):
        made.warm_up_epoch([])
        rates.append(made.aux.net.optimizer_.param_groups[0]["lr"])
    assert rates == pytest.approx([0.25 * share for share in (1, 7 / 6, 8 / 6, 9 / 6, 10 / 6, 11 / 6, 2, 2)])


@pytest.mark.parametrize(("learnt", "most"), [(6.0, 3.0), (1.0, 0.5), (99.0, 5.0), (0.0, 1.0)])
def test_the_cycles_train_as_long_as_the_warm_up_learnt(learnt, most):
    made = at_first_cycle(n_cycles=4, lr=0.25)
    made.aux.scheduled, made.learnt_epochs = True, learnt
    rates = []
    for cycle in range(4):
        made.state.cycle = cycle
        made._schedule_learning_rates()
        rates.append(made.aux.net.optimizer_.param_groups[0]["lr"])
    shares = [1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]  # (1 + cos(pi c / 4)) / 2
    assert rates == pytest.approx([0.25 * most * share for share in shares])


def test_how_long_f_learnt_is_part_of_a_saved_state():
    made, other = at_first_cycle(), at_first_cycle()
    made.learnt_epochs, made.n_warm_up_epochs = 7.5, 6
    other.load_state_dict(made.state_dict())
    assert other.learnt_epochs == 7.5 and other.n_warm_up_epochs == 6


def test_the_warm_up_is_over_when_losses_have_not_fallen_for_long():
    made, losses = out_of_fold(), [torch.full((2, 2), 5.0), *[torch.full((2, 2), 9.0)] * 8]
    assert made.warm_up_is_over(losses) and not made.warm_up_is_over(losses[:-1])


@pytest.mark.parametrize("has_held_out", [True, False])
def test_cycles_start_from_the_kept_members(has_held_out):
    made = out_of_fold()
    made.has_held_out = has_held_out
    expected = [t.net.module_.kept[:M].clone() if has_held_out else tables_of(t) for t in made.trainers]
    made.start_cycles()
    for trainer, tables in zip(made.trainers, expected, strict=True):
        assert_close(tables_of(trainer), tables)
        assert_close(trainer.net.module_.kept[:M], tables)
    assert_close(made.aux.net.module_.kept[M:], expected[0])  # f also keeps what g kept
    f_prob = unseen(made, expected[1]).mean(0)
    assert_close(made.state.f_prob, em.averaged_posterior(f_prob, GIVEN).guess.float())
    assert float(made.state.gamma) == pytest.approx(float((f_prob.argmax(1) == GIVEN).double().mean()))


def test_cycles_start_with_a_weighted_agreement():
    made = at_first_cycle(sample_weight=WEIGHTS)
    right = (unseen(made, tables_of(made.aux)).mean(0).argmax(1) == GIVEN).double()
    assert float(made.state.gamma) == pytest.approx(float((right * WEIGHTS).sum() / WEIGHTS.sum()))


@pytest.mark.parametrize("noise_model", ["class", "uniform"])
def test_cycles_start_with_what_the_warm_up_says_of_errors(noise_model):
    """eps (Eq. 14) by T_c of the averaged posterior, with weights; 1/K where errors do not depend on the class."""
    made = at_first_cycle(sample_weight=WEIGHTS, noise_model=noise_model)
    found = em.averaged_posterior(unseen(made, tables_of(made.aux)).mean(0), GIVEN, WEIGHTS)
    q = found.refurbished[torch.arange(N), GIVEN]
    T_c = em.corruption_matrix(q, found.guess * WEIGHTS[:, None], GIVEN)
    by_hand = (found.guess * T_c.T[GIVEN]).sum(1)
    assert_close(made.state.f_prob, found.guess.float())
    assert_close(
        made.state.eps, by_hand if noise_model == "class" else torch.full_like(by_hand, 1 / K), rtol=1e-5, atol=0
    )


# Figure 2


@pytest.mark.parametrize("sample_weight", [None, WEIGHTS])
def test_e_step_of_g_fits_temperature_and_gamma_to_unseen_rows(sample_weight):
    made = at_first_cycle(sample_weight=sample_weight)
    s = made.state
    s.eps = torch.linspace(0.1, 0.6, N, dtype=torch.float64)
    made._e_step_main(ROWS)
    log_g = unseen(made, tables_of(made.main)).mean(0).log()
    temperature, gamma = em.calibrate_with_clean_rate(log_g, GIVEN, s.eps, sample_weight)
    assert s.temperature == temperature and float(s.gamma) == gamma and s.gamma.dtype == torch.float64
    own = em.tempered_given(log_g, GIVEN, temperature).double()
    assert_close(s.q, gamma * own / (gamma * own + (1 - gamma) * s.eps), rtol=1e-5, atol=1e-8)


def test_f_has_no_e_step_of_its_own():
    made = at_first_cycle()
    before = made.state.f_prob.clone()
    made.aux.net.module_.logits.data += 1.0
    made._e_step_auxiliary(ROWS)
    assert torch.equal(made.state.f_prob, before)


def test_m_step_of_f_goes_to_its_posterior_through_the_transition_matrix():
    made = at_first_cycle(lr=M * N, sample_weight=WEIGHTS)
    s = made.state
    s.q = torch.linspace(0.05, 0.95, N, dtype=torch.float64)
    before = tables_of(made.aux)
    loss = made._m_step_auxiliary(ROWS)
    weights = WEIGHTS[:, None]
    assert_close(s.transition, em.transition_matrix(em.refurbish(s.q, GIVEN, s.f_prob) * weights, GIVEN))
    assert_close(s.corruption, em.corruption_matrix(s.q, s.f_prob * weights, GIVEN))
    target = em.posterior_through(s.f_prob, s.transition, GIVEN)
    expected = made.training_weights[..., None] * (before.softmax(-1) - target)
    assert_close(before - tables_of(made.aux), expected, atol=1e-5, rtol=0)
    by_hand = -(made.training_weights[..., None] * target * before.log_softmax(-1)).sum(-1).mean()
    assert loss == pytest.approx(float(by_hand), rel=1e-5)


@pytest.mark.parametrize("noise_model", ["class", "uniform"])
def test_resampling_asks_unseen_rows(noise_model):
    made = at_first_cycle(noise_model=noise_model)
    s = made.state
    s.q = torch.linspace(0.05, 0.95, N, dtype=torch.float64)
    s.corruption = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]], dtype=torch.float64)
    made.aux.net.module_.logits.data = tables_trainer(7, 1.0).net.module_.logits.data
    made._resample(ROWS)
    f_prob = unseen(made, tables_of(made.aux)).mean(0)
    assert_close(s.f_prob, f_prob)
    assert torch.equal(s.y_hat, em.refurbish(s.q, GIVEN, f_prob).argmax(1))
    by_hand = (f_prob.double() * s.corruption.T[GIVEN]).sum(1)
    assert_close(s.eps, by_hand if noise_model == "class" else torch.full_like(by_hand, 1 / K), rtol=1e-5, atol=0)
    argmax = at_first_cycle(resample="argmax")
    argmax._resample(ROWS)
    assert torch.equal(argmax.state.y_hat, argmax.state.f_prob.argmax(1))


@pytest.mark.parametrize("sample_weight", [None, WEIGHTS])
def test_the_end_mixes_cycles_and_warm_up_as_sure_as_unseen_labels_are(sample_weight, monkeypatch):
    T = torch.tensor([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.1, 0.0, 0.9]], dtype=torch.float64)
    monkeypatch.setattr(closing, "posterior_and_division", lambda *args: (em.averaged_posterior(*args), T))
    asked = []
    monkeypatch.setattr(em, "flattening", lambda *args: asked.append(args) or 2.0)
    made = at_first_cycle(sample_weight=sample_weight)
    for right in (0, 1, 2, 3, 4, 5):  # f has become better on these rows
        made.aux.net.module_.logits.data[:, right, GIVEN[right]] += 9.0
    made.cycle()
    f_prob, early = made._guess(), made._early_guess()
    for own, tables in ((f_prob, tables_of(made.aux)), (early, made.aux.net.module_.kept)):
        assert_close(own, unseen(made, tables).mean(0), atol=2e-7, rtol=0)  # one rounding of float32
    found = made.close()
    both = ("cycles", "warm-up", f_prob.double() @ T, early, GIVEN)  # both say which label is given
    prediction, labels = compare("prediction", *both), compare("labels", *both, needs=0.0)
    assert prediction.chosen == labels.chosen == "cycles" and 0.5 < prediction.share < labels.share < 1
    for one, other in zip(made.decisions[1::2], (prediction, labels), strict=True):
        assert one[:9] == other[:9] and one.log_likelihood == pytest.approx(other.log_likelihood)
    module = made.aux.net.module_
    assert float(module.kept_share) == pytest.approx(1 - prediction.share)
    judged = (GIVEN, made.state.corruption, sample_weight)
    before, after = close_unseen(early, *judged), close_unseen(f_prob, *judged, of_refurbished=True)
    assert_close(module.kept_division, T.float())
    divided = divided_out(early, T.float())
    together = torch.lerp(divided, f_prob, prediction.share)
    expected = mixed(after, before, labels.share, together)
    assert made.decisions[2][:2] == ("temperature of predictions", "2") and float(module.temperature) == 2
    for one, other in zip(asked[0], (together, GIVEN, expected.transition, sample_weight), strict=True):
        assert_close(one, other) if other is not None else None
    flat = together.sqrt() / together.sqrt().sum(1, keepdim=True)
    last = made.training_weights[-made.folds.n_folds :]
    forests = forests_of_refurbished(made.loader.source.take(ROWS), expected.refurbished, last)
    quality = ranked_with(expected.quality, forests.gather(1, GIVEN[:, None]).squeeze(1), N_TREES)
    assert not torch.allclose(quality, expected.quality)
    for one, other in zip(found, expected._replace(confidence=flat.amax(1), quality=quality), strict=True):
        assert_close(one, other)


def test_one_round_is_neither_undone_nor_followed_by_another():
    made = at_first_cycle()
    assert made.settings.n_rounds == 1 and made.undo_round() is False and made.begin_round() is False
    assert made.rounds.decisions == []


def test_a_first_round_that_lost_is_not_undone():
    made = out_of_fold()
    made.settings = replace(made.settings, n_rounds=2)
    made.start_cycles()
    made.rounds.compare = lambda *args: made.rounds.decisions.append(SimpleNamespace(z=-9.0))
    assert made.undo_round() is False and made.begin_round() is False


def test_a_later_round_has_a_cosine_of_its_own_after_an_earlier_fit():
    made = at_first_cycle(n_cycles=4, lr=0.25)
    made.aux.scheduled, made.learnt_epochs, made.first_cycle = True, 4.0, 4
    made.rounds.n, made.rounds.start, made.state.cycle = 2, 8, 9  # one of two cycles of the second round is done
    made._schedule_learning_rates()
    assert made.aux.net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.25 * (2 * 4 / 8) * 0.5)


def test_a_cycle_runs_through():
    made = at_first_cycle()
    row = made.cycle()
    assert row["cycle"] == 1 and row["temperature"] == made.state.temperature
