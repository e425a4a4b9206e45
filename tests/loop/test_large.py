"""Many rows of many classes: block by block as all at once."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.testing import assert_close

from noisyflywheel import FlywheelClassifier, em
from noisyflywheel.estimator.job import assemble
from noisyflywheel.loop import large
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.large import LargeFlywheel, row_normalised
from noisyflywheel.noise import asymmetric

X, TRUE = load_digits(return_X_y=True)
X, TRUE = X[:400], TRUE[:400]
Y = asymmetric(TRUE, 0.3, random_state=0)
WEIGHT = np.where(np.arange(400) % 7 == 0, 0.0, 1.0 + np.arange(400) % 3)
ARRAYS = ("clean_proba_", "label_quality_", "refurbished_proba_", "transition_matrix_", "corruption_matrix_")


@pytest.fixture
def in_blocks(monkeypatch):
    monkeypatch.setattr(assemble, "LARGE", 0)
    monkeypatch.setattr(large, "BLOCK", 370)  # 37 rows
    return monkeypatch


def fit(sample_weight=None, **params):
    params = {"n_warmup_epochs": 2, "n_cycles": 3, "cr_ramp": 1, "random_state": 0} | params
    return FlywheelClassifier(n_folds=1, **params).fit(X, Y, sample_weight)


CASES = [
    {},
    {"calibrate": True},
    {"calibrate": False, "noise_model": "uniform"},
    {"refurbish": False},
    {"cycle_size": 150, "resample": "argmax"},
    {"sample_weight": WEIGHT, "average_epochs": 1},
    {"views": None},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_blocks_give_what_the_whole_gives(case, in_blocks):

    blocks = fit(**case)
    assert blocks.refurbished_proba_.dtype == np.float32
    in_blocks.setattr(assemble, "LARGE", 2**23)
    whole = fit(**case)
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(blocks, name), getattr(whole, name), atol=2e-5, err_msg=name)
    for name in ("gamma", "agreement", "f_entropy", "max_class_share", "temperature"):
        np.testing.assert_allclose(blocks.history_[name], whole.history_[name], atol=1e-5, err_msg=name)


def test_in_16_bits_little_changes(in_blocks):
    in_blocks.setattr(large, "HALF", 0)
    small = fit()
    assert small.refurbished_proba_.dtype == np.float16
    in_blocks.setattr(assemble, "LARGE", 2**23)
    whole = fit()
    assert np.abs(small.refurbished_proba_ - whole.refurbished_proba_).mean() < 0.01
    assert (small.refurbished_labels_ == whole.refurbished_labels_).mean() > 0.97
    assert abs(small.clean_proba_ - whole.clean_proba_).mean() < 0.01


def flywheel(**params):
    made = {"n_warmup_epochs": 1, "n_cycles": 4, "n_folds": 1, "random_state": 0} | params
    clf = FlywheelClassifier(**made)
    x = torch.from_numpy(X.astype(np.float32))
    return assemble.untrained_flywheel(clf, x, Y.astype(np.int64), 10, [1, 2, 3])


@pytest.mark.parametrize("params", [{}, {"cycle_size": 150}, {"refurbish": False}, {"average_epochs": 2}], ids=str)
def test_a_saved_state_holds_no_predictions_and_goes_on_as_it_was(params, in_blocks):
    in_blocks.setattr(large, "HALF", 0)
    with torch.random.fork_rng():
        made = flywheel(**params)
        made.warm_up_epoch()
        made.start_cycles()
        made.cycle()
        saved = made.state_dict()
        f_prob = made.state.f_prob.clone()
        assert len(saved["state"]["f_prob"]) == (len(X) if params.keys() & {"cycle_size", "refurbish"} else 0)
        first = [made.cycle()["gamma"] for _ in range(2)]
        made.load_state_dict(saved)
        assert torch.equal(made.state.f_prob, f_prob)
        assert [made.cycle()["gamma"] for _ in range(2)] == first


def test_the_first_prediction_is_uniform_and_rows_may_lack_a_class(in_blocks):
    with torch.random.fork_rng():
        made = flywheel()
        torch.testing.assert_close(made.state.f_prob, torch.full((len(X), 10), 0.1))
        made.warm_up_epoch()
        made.start_cycles()
        made.cycle()
    s, rows = made.state, (made.given < 9).nonzero().squeeze(1)
    q, given, f_prob = s.q[rows], made.given[rows], s.f_prob[rows].double()
    T, T_c = made._matrices(rows)
    torch.testing.assert_close(T, em.transition_matrix(em.refurbish(q, given, f_prob), given))
    torch.testing.assert_close(T_c, em.corruption_matrix(q, f_prob, given))


def test_the_state_before_the_first_cycle_comes_back(in_blocks):
    with torch.random.fork_rng():
        made = flywheel()
        before = made.state_dict()
        made.warm_up_epoch()
        made.start_cycles()
        saved, f_prob = made.state_dict(), made.state.f_prob.clone()
        made.cycle()
        made.load_state_dict(saved)
        assert torch.equal(made.state.f_prob, f_prob)
        made.load_state_dict(before)
        assert made.state.cycle == 0


def test_a_fit_that_died_goes_on_where_it_was(in_blocks, tmp_path):
    class Death(Exception):
        pass

    def die(flywheel, row):
        if row["cycle"] == 2:
            raise Death

    whole = fit()
    in_blocks.setattr("noisyflywheel.loop.watch.checkpoints.SHARE", 1e9)
    with pytest.raises(Death):
        fit(checkpoint_dir=tmp_path, on_cycle=die)
    again = fit(checkpoint_dir=tmp_path)
    assert (again.clean_proba_ == whole.clean_proba_).all()


def test_the_guard_goes_back(in_blocks):
    def turn(guard, y_hat, gamma, after_ramp):
        return None if guard.has_gone_back else "made up"

    in_blocks.setattr("noisyflywheel.loop.watch.guard.Guard.complaint", turn)
    with pytest.warns(UserWarning, match="made up in cycle 1: went back"):
        clf = fit()
    assert clf.history_["undone"].tolist() == [True, False, False]


def test_fits_are_large_from_so_many_numbers_on(monkeypatch):
    for numbers, kind in ((len(X) * 10, Flywheel), (len(X) * 10 - 1, LargeFlywheel)):
        monkeypatch.setattr(assemble, "LARGE", numbers)
        with torch.random.fork_rng():
            assert type(flywheel()) is kind


def test_rows_without_mass_are_uniform():
    assert_close(row_normalised(torch.tensor([[2.0, 6.0], [0.0, 0.0]])), torch.tensor([[0.25, 0.75], [0.5, 0.5]]))


def test_no_block_is_a_whole_array(in_blocks):
    """No array of N K numbers beside f's prediction and the two that are published."""
    seen = []
    original = torch.Tensor.double

    def double(self):
        if self.shape[1:] == (10,):
            seen.append(len(self))
        return original(self)

    in_blocks.setattr(torch.Tensor, "double", double)
    fit()
    assert seen and max(seen) <= 37


def test_large_predictions_are_those_of_small_ones(monkeypatch):
    clf = fit()
    whole = clf.predict_proba(X)
    monkeypatch.setattr("noisyflywheel.estimator.fitted.result.LARGE", 0)
    np.testing.assert_array_equal(clf.predict_proba(X), whole)


def test_a_warm_start_may_draw_rows_from_then_on(in_blocks):
    clf = fit(warm_start=True)
    clf.set_params(cycle_size=150).fit(X, Y)
    assert clf.n_iter_ == 6 and np.isfinite(clf.clean_proba_).all()
    clf.set_params(cycle_size=None).fit(X, Y)
    assert clf.n_iter_ == 9 and np.isfinite(clf.clean_proba_).all()
