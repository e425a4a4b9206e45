"""What a flywheel with folds has: who leaves out which rows, how columns are weighed, and unseen rows."""

import pytest
import torch
from folded_tables import FOLDS, M, Tables, at_first_cycle, out_of_fold, tables_of, tables_trainer, unseen
from tables import GIVEN, ROWS, WEIGHTS, K, N, loader, settings
from torch.testing import assert_close

from noisyflywheel.em.some_rows import some_rows
from noisyflywheel.loop.decisions.decide import Decision
from noisyflywheel.loop.folds import Folds
from noisyflywheel.loop.with_folds import folded_parts
from noisyflywheel.loop.with_folds.out_of_fold import OutOfFoldFlywheel

pytestmark = pytest.mark.usefixtures("quick_folds")


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
    assert made.hold_out() == [] and not made.is_guarded


@pytest.mark.parametrize("most", [N, 6])
def test_columns_are_weighed_by_the_labels_that_a_member_trains_on(most, monkeypatch):
    asked, decision, columns = [], Decision("weights of columns", "by a forest"), torch.rand(M, 1)

    def weigh(*args):
        asked.append(args)
        return columns, decision

    monkeypatch.setattr(folded_parts, "weigh_columns", weigh)
    monkeypatch.setattr(folded_parts, "JUDGED_ROWS", most)
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
    found = [each.decision for each in other.decisions]
    assert found == ["weights of columns", "prediction", "temperature of predictions", "labels"]


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


def test_folds_are_part_of_a_saved_state():
    made, other = at_first_cycle(sample_weight=WEIGHTS), at_first_cycle(sample_weight=WEIGHTS)
    other._set_folds(Folds(1 - made.folds.fold, FOLDS))
    assert not torch.equal(other.training_weights, made.training_weights)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other.folds.own, made.folds.own)
    assert made.state_dict()["fold"] is not made.folds.fold  # a copy
    assert_close(other.training_weights, made.folds.trains * WEIGHTS.float())
