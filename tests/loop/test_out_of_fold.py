"""The out-of-fold flywheel on stacks of tables: what each row is judged by, and what the members learn."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from skorch import NeuralNetClassifier
from tables import GIVEN, ROWS, WEIGHTS, K, N, loader, settings
from torch import nn
from torch.testing import assert_close

import noisyflywheel.loop.out_of_fold as out_of_fold_module
from noisyflywheel import em
from noisyflywheel.em.some_rows import some_rows
from noisyflywheel.loop.closing import close_unseen, mixed
from noisyflywheel.loop.decide import Decision, compare
from noisyflywheel.loop.folds import Folds
from noisyflywheel.loop.out_of_fold import OutOfFoldFlywheel
from noisyflywheel.nets import Trainer, prepare_net

pytestmark = pytest.mark.usefixtures("quick_folds")

FOLDS, M = 2, 4


class Tables(nn.Module):
    """Four tables of logits (4, N, K), two families of one per fold, and those that are kept."""

    n_folds, families = FOLDS, ("first", "second")

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.randn(M, N, K, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("kept", torch.zeros(2 * M, N, K))
        self.register_buffer("kept_share", torch.zeros(()))

    def forward(self, x):
        logits = self.logits[:, x[:, 0].long()]
        if self.training:
            return logits
        kept = self.kept[:, x[:, 0].long()].softmax(-1).mean(0)
        return torch.lerp(logits.softmax(-1).mean(0), kept, self.kept_share).log()

    def apart(self, x, kept=False):
        index = x[..., 0].long()
        tables = self.kept if kept else self.logits
        index = index.repeat(2, 1) if kept else index
        return tables[torch.arange(len(tables))[:, None], index]

    def scale(self, x):
        return 10 * x

    def weigh(self, columns):
        self.columns = columns

    def keep(self, family):
        members = slice(FOLDS * family, FOLDS * family + FOLDS)
        self.kept[members] = self.logits[members].detach()

    def keep_of(self, other):
        self.kept[M:] = other.kept[:M]

    def go_back_to_kept(self):
        self.logits.data.copy_(self.kept[:M])


def tables_trainer(seed, lr):
    net = NeuralNetClassifier(Tables, criterion=nn.CrossEntropyLoss, lr=lr, batch_size=-1, train_split=None)
    trainer = Trainer(prepare_net(net, {}, None, False))
    rng = torch.Generator().manual_seed(seed)
    trainer.net.module_.logits.data = torch.randn(M, N, K, generator=rng)
    trainer.net.module_.kept = torch.randn(2 * M, N, K, generator=rng)
    return trainer


def out_of_fold(lr=1.0, sample_weight=None, **changes):
    trainers = [tables_trainer(seed, lr) for seed in (1, 2)]
    return OutOfFoldFlywheel(*trainers, loader(), GIVEN, K, settings(guard=False, **changes), sample_weight)


def tables_of(trainer):
    return trainer.net.module_.logits.detach().clone()


def unseen(made, tables):
    """Predictions (2, N, K) of each row by the member of each family that leaves it out: the plain form."""
    prob = tables.softmax(-1)
    found = torch.zeros(len(tables) // FOLDS, N, K)
    for member in range(len(tables)):
        left_out = made.folds.trains[member % M] == 0
        found[member // FOLDS, left_out] = prob[member, left_out]
    return found


def at_first_cycle(**changes):
    made = out_of_fold(**changes)
    made.start_cycles()
    return made


def test_three_folds_of_two_families(monkeypatch):
    monkeypatch.setattr(Tables, "n_folds", 3)
    trainers = [tables_trainer(seed, 1.0) for seed in (1, 2)]
    made = OutOfFoldFlywheel(*trainers, loader(), GIVEN, K, settings(guard=False), sample_weight=WEIGHTS)
    assert made.folds.n_folds == 3 and made.folds.trains.shape == (6, N) and made.sample_weight is WEIGHTS


def test_members_train_without_their_folds_and_with_the_weights_of_the_rows():
    made = out_of_fold()
    assert made.training_weights is made.folds.trains and made.folds.trains.shape == (M, N)
    assert (made.folds.trains.unique() == torch.tensor([0.0, 2.0])).all()
    weighted = out_of_fold(sample_weight=WEIGHTS)
    assert_close(weighted.training_weights, weighted.folds.trains * WEIGHTS.float())
    assert made.hold_out() == [] and not made.is_guarded and made.hold == 0.0


@pytest.mark.parametrize("most", [N, 6])
def test_columns_are_weighed_by_the_labels_that_a_member_trains_on(most, monkeypatch):
    asked, decision, columns = [], Decision("weights of columns", "by a forest"), torch.rand(M, 1)

    def weigh(*args):
        asked.append(args)
        return columns, decision

    monkeypatch.setattr(out_of_fold_module, "weigh_columns", weigh)
    monkeypatch.setattr(out_of_fold_module, "JUDGED_ROWS", most)
    made = out_of_fold(sample_weight=WEIGHTS)
    rows = some_rows(N, GIVEN.device, most)
    ((x, encoded, given, weights, n_folds),) = asked
    assert len(rows) == most and made.weighed is decision and n_folds == FOLDS
    assert_close(x[:, 0].long(), ROWS[rows])
    assert_close(encoded, 10 * x)
    assert_close(given, GIVEN[rows])
    assert_close(weights, made.folds.trains[:, rows] * WEIGHTS.float()[rows])
    for trainer in made.trainers:
        assert trainer.net.module_.columns is columns


def test_how_columns_were_weighed_is_part_of_a_saved_state():
    made, other = at_first_cycle(), at_first_cycle()
    made.weighed = Decision("weights of columns", "by a forest", z=3.25)
    other.load_state_dict(made.state_dict())
    assert other.weighed.chosen == "by a forest" and other.weighed.z == 3.25
    saved = made.state_dict()
    del saved["weighed"]  # as of an earlier version
    other.load_state_dict(saved)
    assert other.weighed.z == 3.25
    other.close()
    assert [each.decision for each in other.decisions] == ["weights of columns", "prediction", "labels"]


def test_a_warm_up_epoch_moves_members_on_the_rows_of_other_folds():
    made = out_of_fold(lr=M * N)
    before = tables_of(made.aux)
    made.warm_up_epoch([])
    target = nn.functional.one_hot(GIVEN, K).float()
    expected = made.folds.trains[..., None] * (before.softmax(-1) - target)
    assert_close(before - tables_of(made.aux), expected, atol=1e-5, rtol=0)


def test_rows_are_predicted_by_members_that_have_not_seen_them():
    made = out_of_fold()
    assert_close(made._unseen(made.main), unseen(made, tables_of(made.main)))
    assert_close(made._unseen(made.aux, kept=True), unseen(made, made.aux.net.module_.kept))
    assert_close(made._guess(), unseen(made, tables_of(made.aux)).mean(0))


def test_rows_of_weight_zero_are_predicted_by_all_members():
    weights = WEIGHTS.clone()
    weights[[2, 5]] = 0
    made = out_of_fold(sample_weight=weights)
    found = made._unseen(made.main)
    whole = tables_of(made.main).softmax(-1).mean(0)
    assert_close(found[:, [2, 5]], whole[[2, 5]].expand(2, 2, K))
    assert_close(found[:, [0, 1, 3]], unseen(made, tables_of(made.main))[:, [0, 1, 3]])
    kept = made.aux.net.module_.kept
    found, whole = made._unseen(made.aux, kept=True), kept.softmax(-1).mean(0)
    assert_close(found[:, [2, 5]], whole[[2, 5]].expand(4, 2, K))
    assert_close(found[:, [0, 1, 3]], unseen(made, kept)[:, [0, 1, 3]])
    assert float(made.aux.net.module_.kept_share) == 0


# the end of the warm-up


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
    first = made.held_out_record([], [])
    assert_close(first, losses_by_hand(made))
    assert kept == [(0, 0), (0, 1), (1, 0), (1, 1)]
    kept.clear()
    worse_before = first + torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    made.held_out_record([], [worse_before])
    assert kept == [(0, 0), (1, 0)]  # the second families were better before


def test_some_of_many_rows_tell_when_the_warm_up_ends(monkeypatch):
    made = out_of_fold()
    some = torch.arange(0, N, 2)
    monkeypatch.setattr("noisyflywheel.loop.out_of_fold.some_rows", lambda n, device: some)
    assert made.judged_folds is made.folds and torch.equal(made.judged_rows, ROWS)
    made._leave_out(made.folds)
    assert torch.equal(made.judged_rows, some) and int(made.judged_folds.counts.sum()) == 2 * len(some)
    expected = [
        -unseen(made, tables_of(trainer))[:, some, GIVEN[some]].clamp_min(1e-6).log().mean(1)
        for trainer in made.trainers
    ]
    assert_close(made.held_out_record([], []), torch.stack(expected))


def test_impossible_labels_of_unseen_rows_cost_a_finite_loss():
    made = out_of_fold()
    for trainer in made.trainers:
        trainer.net.module_.logits.data = -1e3 * nn.functional.one_hot(GIVEN, K).float().expand(M, N, K)
    assert_close(made.held_out_record([], []), torch.full((2, 2), 13.815511))  # -log 1e-6


def test_epochs_that_f_learnt_are_those_of_its_kept_members():
    made = out_of_fold()
    now = made.held_out_record([], [])
    assert made.learnt_epochs == 1
    earlier = [now + torch.tensor([[0.0, 0.0], of_f]) for of_f in ([9.0, 0.0], [9.0, -4.0], [0.0, 9.0])]
    made.held_out_record([], earlier)  # smoothed, beside now: [9, 9, 4.5, 0] and [0, -2, 2.5, 4.5]
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
def test_the_end_mixes_cycles_and_warm_up_as_sure_as_unseen_labels_are(sample_weight):
    made = at_first_cycle(sample_weight=sample_weight)
    for right in (0, 1, 2, 3, 4, 5):  # f has become better on these rows
        made.aux.net.module_.logits.data[:, right, GIVEN[right]] += 9.0
    made.cycle()
    f_prob = unseen(made, tables_of(made.aux)).mean(0)
    early = unseen(made, made.aux.net.module_.kept).mean(0)
    found = made.close()
    both = ("cycles", "warm-up", f_prob, early, GIVEN)
    prediction, labels = compare("prediction", *both), compare("labels", *both, needs=0.0)
    assert prediction.chosen == labels.chosen == "cycles" and 0.5 < prediction.share < labels.share < 1
    for one, other in zip(made.decisions[1:], (prediction, labels), strict=True):
        assert one[:9] == other[:9] and one.log_likelihood == pytest.approx(other.log_likelihood)
    assert float(made.aux.net.module_.kept_share) == pytest.approx(1 - prediction.share)
    judged = (GIVEN, made.state.corruption, sample_weight)
    before, after = close_unseen(early, *judged), close_unseen(f_prob, *judged, of_refurbished=True)
    expected = mixed(after, before, labels.share, torch.lerp(early, f_prob, prediction.share))
    for one, other in zip(found, expected, strict=True):
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


def test_folds_are_part_of_a_saved_state():
    made, other = at_first_cycle(sample_weight=WEIGHTS), at_first_cycle(sample_weight=WEIGHTS)
    other._leave_out(Folds(1 - made.folds.fold, FOLDS))
    assert not torch.equal(other.training_weights, made.training_weights)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other.folds.own, made.folds.own)
    assert made.state_dict()["fold"] is not made.folds.fold  # a copy
    assert_close(other.training_weights, made.folds.trains * WEIGHTS.float())
