"""Every ablation is a parameter, and changes what it says it changes."""

import numpy as np
import pytest
import torch

from noisyflywheel import FlywheelClassifier

QUICK = {"n_warmup_epochs": 2, "n_cycles": 3, "random_state": 0, "calibrate": False}


@pytest.fixture(scope="module")
def fitted(iris):
    """Fits, and the flywheel of each at the end of its last cycle."""

    def fit(**params):
        wheels = []

        def note(wheel, row):
            wheels.append(wheel)
            s = wheel.state
            return {
                "uniform_eps": bool((s.eps == s.eps[0]).all()),
                "y_hat_is_f": bool((s.y_hat == s.f_prob.argmax(1)).all()),
                "images": wheel.aux.images_seen,
                "scored": float(s.n_scored.sum()),
            }

        X, y, _ = iris
        return FlywheelClassifier(**QUICK | {"on_cycle": note} | params).fit(X, y), wheels[-1]

    return fit


@pytest.fixture(scope="module")
def usual(fitted):
    return fitted()


def test_without_f_g_predicts(fitted, usual, iris):
    clf, wheel = fitted(refurbish=False)
    assert not hasattr(clf, "aux_net_") and wheel.trainers == [wheel.main]
    assert clf.history_["auxiliary_loss"].isna().all() and not usual[0].history_["auxiliary_loss"].isna().any()
    x = wheel.loader.plain(torch.as_tensor(iris[0], dtype=torch.float32))
    of_g = torch.softmax(clf.main_net_.module_.eval()(x), 1).detach().double()
    np.testing.assert_allclose(clf.predict_proba(iris[0]), of_g, atol=1e-5)
    x = usual[1].loader.plain(torch.as_tensor(iris[0], dtype=torch.float32))
    of_f = torch.softmax(usual[0].aux_net_.module_.eval()(x), 1).detach().double()
    np.testing.assert_allclose(usual[0].predict_proba(iris[0]), of_f, atol=1e-5)


def test_a_uniform_noise_model_keeps_eps(fitted, usual):
    clf, wheel = fitted(noise_model="uniform")
    assert clf.history_["uniform_eps"].all() and float(wheel.state.eps[0]) == pytest.approx(1 / 3)
    assert not usual[0].history_["uniform_eps"].any()


def test_without_regularizer_the_loss_of_g_is_a_cross_entropy(fitted, usual):
    clf, _ = fitted(cr_weight=0.0)
    assert (clf.history_["cr_weight"] == 0).all() and (clf.history_["main_loss"] > 0).all()
    assert (usual[0].history_["cr_weight"] == 3).all()
    assert usual[0].history_["main_loss"].iloc[-1] < 0 < clf.history_["main_loss"].iloc[-1]


def test_the_contrastive_loss_takes_two_strong_views_of_each_row(fitted, usual):
    clf, wheel = fitted(contrastive_weight=0.025)
    assert wheel.head is not None and usual[1].head is None
    assert clf.history_["images"].diff().dropna().tolist() == [450, 450]
    assert usual[0].history_["images"].diff().dropna().tolist() == [150, 150]
    heavier = fitted(contrastive_weight=2.5)[0]
    assert (heavier.history_["auxiliary_loss"] > clf.history_["auxiliary_loss"] + 1).all()


def test_mixup_takes_two_weak_views_of_each_row_and_blurs_targets(fitted, usual):
    clf, _ = fitted(mixup_alpha=4)
    assert clf.history_["images"].diff().dropna().tolist() == [300, 300]
    assert (clf.history_["auxiliary_loss"] > usual[0].history_["auxiliary_loss"]).all()


def test_without_views_rows_are_seen_as_they_are(fitted, usual):
    for (_, wheel), same in ((fitted(views=None), True), (usual, False)):
        x = wheel.loader.source.take(torch.arange(5))
        plain = wheel.loader.plain(x)
        for view in (wheel.loader.weak(x), wheel.loader.strong(x)):
            assert torch.equal(view, plain) == same


def test_calibration_tempers_g(fitted, usual):
    clf, _ = fitted(calibrate=True)
    assert (usual[0].history_["temperature"] == 1).all()
    assert (clf.history_["temperature"] != 1).any()


def test_averaged_weights_are_what_predicts(fitted, usual):
    clf, wheel = fitted(average_epochs=2.0)
    assert usual[1].aux.average is None
    average = wheel.aux.average
    live = [t for t in clf.aux_net_.module_.state_dict().values() if t.is_floating_point()]
    assert all(torch.equal(one, two) for one, two in zip(average.mean, live, strict=True))
    last = [t for t in usual[0].aux_net_.module_.state_dict().values() if t.is_floating_point()]
    assert not all(torch.equal(one, two) for one, two in zip(average.mean, last, strict=True))


def test_sharpening_makes_f_surer(fitted, usual):
    entropy = [fitted(sharpen_temperature=t)[0].history_["f_entropy"].iloc[-1] for t in (0.25, 4.0)]
    assert entropy[0] < usual[0].history_["f_entropy"].iloc[-1] < entropy[1]


def test_cycles_may_take_fewer_rows(fitted, usual):
    clf, _ = fitted(cycle_size=60)
    assert clf.history_["scored"].tolist() == [60, 120, 180]
    assert usual[0].history_["scored"].tolist() == [150, 300, 450]


def test_the_literal_form_of_the_paper(fitted, usual):
    clf, wheel = fitted(n_warmup_epochs=1, resample="argmax", cr_ramp=0, guard=False)
    assert clf.n_warmup_epochs_ == 1
    assert clf.history_["y_hat_is_f"].all() and not usual[0].history_["y_hat_is_f"].any()
    assert (clf.history_["temperature"] == 1).all() and wheel.cr_weight() == 3
