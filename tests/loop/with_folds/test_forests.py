"""Forests beside the kept members: what is asked of unseen rows, and when they count."""

import copy
import pickle

import numpy as np
import pytest
import sklearn
import torch
from sklearn.datasets import load_iris
from sklearn.utils.fixes import parse_version

from noisyflywheel import FlywheelClassifier
from noisyflywheel.loop.folds import Folds
from noisyflywheel.loop.with_folds.forests import forests_of_members, forests_of_refurbished, weigh_forests

DRAWS_BY_WEIGHT = parse_version(sklearn.__version__) >= parse_version("1.9")
"""Whether forests draw rows by their weights. Before, all alike: shares in small leaves were less uneven."""


def folds_of(given, n_folds=3, n_families=2):
    return Folds.draw(given, torch.arange(len(given)), n_folds, n_families, torch.Generator().manual_seed(0))


def test_a_row_is_judged_by_forests_that_have_not_seen_its_label():
    X, y = load_iris(return_X_y=True)
    x, given = torch.from_numpy(X).float(), torch.from_numpy(y)
    trains = folds_of(given).trains
    trees, prob = forests_of_members(x, given, trains, 3)
    assert len(trees) == 6
    torch.testing.assert_close(prob.sum(1), torch.ones(150))
    assert (prob.argmax(1) == given).float().mean() > 0.9
    other = given.clone()
    other[7] = 2
    changed = forests_of_members(x, other, trains, 3)[1]
    assert torch.equal(changed[7], prob[7]) and not torch.equal(changed, prob)


def test_a_row_that_takes_no_part_is_judged_by_all():
    X, y = load_iris(return_X_y=True)
    x, given = torch.from_numpy(X).float(), torch.from_numpy(y)
    trains = folds_of(given).trains
    trains[:, 3] = 0
    trees, prob = forests_of_members(x, given, trains, 3)
    torch.testing.assert_close(prob[3], trees(x[3:4]).mean((0, 1)))


def test_they_count_as_far_as_they_agree_better():
    """Of 100 rows only the forests have 9, only the others 5: z = 4 / sqrt(14); Phi(z) = .857."""
    given, sure = torch.zeros(100, dtype=torch.int64), torch.tensor([[0.9, 0.1]])
    prob, early = sure.repeat(100, 1), sure.repeat(100, 1)
    prob[:5], early[5:14] = 1 - sure, 1 - sure
    decision = weigh_forests(prob, early, given)
    assert decision.z == pytest.approx(4 / 14**0.5)
    assert decision.share == pytest.approx(0.857, abs=1e-3) and decision.chosen == "forests"
    assert weigh_forests(early, prob, given).share == pytest.approx(0.143, abs=1e-3)


def test_where_they_are_clearly_worse_there_are_none():
    given, sure = torch.zeros(100, dtype=torch.int64), torch.tensor([[0.9, 0.1]])
    worse = sure.repeat(100, 1)
    worse[:4] = 1 - sure  # z = -2, Phi = .023
    decision = weigh_forests(worse, sure.repeat(100, 1), given)
    assert decision.share == 0 and decision.chosen == "none" and decision.z == -2


def test_forests_of_refurbished_labels_learn_what_is_likely_of_unseen_rows():
    """Every label of three separate clouds is said to be the next class's with .3."""
    true = torch.arange(450) % 3
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(450, 2))).float() + 10 * true[:, None]
    trains = folds_of(true, n_families=1).trains
    T = 0.7 * torch.eye(3) + 0.3 * torch.eye(3).roll(1, 1)
    refurbished = T[true].double()
    prob = forests_of_refurbished(x, refurbished, trains)
    torch.testing.assert_close(prob.sum(1), torch.ones(450))
    for k in range(3):
        torch.testing.assert_close(prob[true == k].mean(0), T[k], atol=0.02 if DRAWS_BY_WEIGHT else 0.05, rtol=0)
    other = refurbished.clone()
    other[7] = torch.tensor([0.0, 0.0, 1.0])
    changed = forests_of_refurbished(x, other, trains)
    assert torch.equal(changed[7], prob[7]) and not torch.equal(changed, prob)
    hardly = torch.where(refurbished == 0, 0.015, refurbished)  # no class that is as unlikely is learnt
    assert torch.equal(forests_of_refurbished(x, hardly, trains), prob)


def stripes(n, seed):
    """Thirty stripes of one column, of one class and the other in turn, too narrow for the nets."""
    x = np.random.default_rng(seed).random((n, 1))
    return x, np.where((x[:, 0] * 30).astype(int) % 2, "odd", "even")


@pytest.fixture(scope="module")
def fitted():
    return FlywheelClassifier(random_state=0, n_cycles=1).fit(*stripes(500, 0))


def rows_of_decision(clf):
    return clf.decisions_[clf.decisions_["decision"] == "beside the warm-up"]


def test_where_trees_are_better_they_predict(fitted):
    decision = rows_of_decision(fitted).squeeze()
    assert decision.share > 0.95 and decision.agreement > decision.alternative_agreement + 0.05
    module = copy.deepcopy(fitted.aux_net_.module_)
    assert len(module.trees) == 10 and float(module.tree_share) == pytest.approx(decision.share)
    X, y = stripes(300, 1)
    assert fitted.score(X, y) > decision.alternative_agreement + 0.05
    assert (fitted.refurbished_labels_ == stripes(500, 0)[1]).mean() > decision.alternative_agreement + 0.05
    rows = torch.from_numpy(X).float()
    with torch.no_grad():
        module.mix_in_kept(1.0), module.mix_in_trees(module.trees, 1.0)
        torch.testing.assert_close(module(rows).exp(), module.trees(rows).mean(0), atol=1e-6, rtol=1e-5)


def test_files_and_pickles_have_them(fitted, tmp_path):
    X, _ = stripes(300, 1)
    expected = fitted.predict_proba(X)
    fitted.save(tmp_path)
    for again in FlywheelClassifier.load(tmp_path), pickle.loads(pickle.dumps(fitted)):
        np.testing.assert_array_equal(again.predict_proba(X), expected)


def test_a_fit_that_goes_on_asks_again(fitted):
    X, y = stripes(500, 0)
    clf = FlywheelClassifier(random_state=0, n_cycles=1, warm_start=True).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), fitted.predict_proba(X))
    clf.fit(X, y)
    assert rows_of_decision(clf).squeeze().equals(rows_of_decision(fitted).squeeze())
    assert len(clf.aux_net_.module_.trees) == 10


@pytest.mark.parametrize("params", [{"n_warmup_epochs": 1}, {"n_folds": 1}])
def test_who_says_how_long_the_warm_up_is_or_asks_for_one_net_has_none(params):
    clf = FlywheelClassifier(random_state=0, n_cycles=1, **params).fit(*stripes(200, 0))
    assert rows_of_decision(clf).empty and not getattr(clf.aux_net_.module_, "trees", ())


@pytest.mark.parametrize("bound", ["MOST_ROWS", "MOST_NUMBERS"])
def test_of_many_rows_they_are_not_asked(monkeypatch, bound):
    monkeypatch.setattr(f"noisyflywheel.loop.parts.{bound}", 199)
    monkeypatch.setattr("noisyflywheel.loop.with_folds.forests.grow", None)
    assert rows_of_decision(FlywheelClassifier(random_state=0, n_cycles=1).fit(*stripes(200, 0))).empty
