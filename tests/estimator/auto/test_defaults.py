"""What "auto" becomes, and what explicit values leave to decide."""

import numpy as np
import pytest
import torch

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.auto.defaults import choose_n_folds, make_settings
from noisyflywheel.views import VectorViews

pytestmark = pytest.mark.usefixtures("quick_folds")


def params(**given):
    return FlywheelClassifier(**given).get_params(deep=False)


def rows(d=5, loudest=1.0, n=200):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    x[:, 0] *= loudest
    return x


@pytest.mark.parametrize(("n", "folds"), [(100, 5), (5000, 5), (5001, 3), (30_000, 3), (30_001, 2)])
def test_folds_of_tables_by_their_rows(n, folds):
    found, decision = choose_n_folds(params(), rows(), n)
    assert found == folds and decision.chosen == str(folds) and decision.decision == "n_folds"


def test_many_features_in_one_unit_have_views_instead():
    assert choose_n_folds(params(), rows(61), 1000)[0] == 1
    assert choose_n_folds(params(), rows(60), 1000)[0] == 5
    assert choose_n_folds(params(), rows(61, loudest=1000.0), 1000)[0] == 5


def test_few_rows_of_many_features_have_folds():
    found, decision = choose_n_folds(params(), rows(64, n=95), 95)
    assert found == 5 and decision.reason == "95 rows of 64 features: labels can be learnt by heart"
    assert choose_n_folds(params(), rows(64, n=96), 96)[0] == 1
    assert choose_n_folds(params(views=VectorViews()), rows(64, n=95), 95)[0] == 1
    assert choose_n_folds(params(n_folds=1), rows(64, n=95), 95)[0] == 1


def test_pictures_have_none():
    assert choose_n_folds(params(), torch.zeros(50, 1, 8, 8), 50)[0] == 1


FORMS = [
    {"views": VectorViews()},
    {"views": None},
    {"mixup_alpha": 4.0},
    {"contrastive_weight": 0.025},
    {"distribution_alignment": 0.3},
    {"average_epochs": 3},
    {"resample": "argmax"},
    {"calibrate": False},
    {"calibrate": True},
    {"refurbish": False},
    {"cycle_size": 50},
    {"sharpen_temperature": 0.5},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_other_forms_of_the_loop_have_none(form):
    found, decision = choose_n_folds(params(**form), rows(), 1000)
    assert found == 1 and decision.reason == f"{next(iter(form))} is set"
    with pytest.raises(ValueError, match=f"n_folds=5 cannot be had with {next(iter(form))}="):
        choose_n_folds(params(n_folds=5, **form), rows(), 1000)


SAME = [
    {"mixup_alpha": 0},
    {"contrastive_weight": 0.0},
    {"sharpen_temperature": 1},
    {"mixup_alpha": np.float64(0)},  # from a search over an array
    {"average_epochs": np.int64(0)},
    {"refurbish": np.True_},
]


@pytest.mark.parametrize("form", SAME, ids=str)
def test_values_that_say_the_same_as_auto_leave_them(form):
    assert choose_n_folds(params(**form), rows(), 1000)[0] == 5


def test_folds_for_too_few_rows():
    assert choose_n_folds(params(), rows(), 3)[0] == 3
    with pytest.raises(ValueError, match="n_folds=5 cannot be had for 3 rows"):
        choose_n_folds(params(n_folds=5), rows(), 3)


def test_settings():
    folds, vectors, images = (make_settings(params(), *kind) for kind in ((False, 5), (False, 1), (True, 1)))
    assert (folds.n_cycles, folds.cr_ramp) == (16, 8)
    assert (vectors.n_cycles, vectors.cr_ramp, vectors.average_epochs) == (100, 5, 0.0)
    assert [made.distribution_alignment for made in (folds, vectors, images)] == [0, 0.3, 0.3]
    assert make_settings(params(resample="argmax"), False).distribution_alignment == 0  # the paper's form
    assert make_settings(params(resample="argmax", distribution_alignment=0.2), False).distribution_alignment == 0.2
    assert (images.n_cycles, images.cr_ramp, images.average_epochs) == (100, 40, 5.0)
    assert [make_settings(params(), False, 2, n_rows).n_cycles for n_rows in (30_000, 30_001)] == [16, 8]
    assert make_settings(params(n_cycles=20, cr_ramp=3, mixup_alpha=4.0), False).cr_ramp == 3


@pytest.mark.parametrize("image", [False, True])
def test_half_as_many_cycles_with_many_rows_and_with_own_nets(image):
    by_rows = [make_settings(params(), image, 1, n_rows).n_cycles for n_rows in (30_000, 30_001)]
    own = [make_settings(params(**{name: object()}), image, 1, 100) for name in ("main_net", "aux_net")]
    assert (*by_rows, *(made.n_cycles for made in own)) == (100, 50, 50, 50)
    assert own[0].cr_ramp == (20 if image else 5)


def test_the_ramp_is_a_share_of_the_cycles_asked_for():
    def ramp(n_cycles, *kind):
        return make_settings(params(n_cycles=n_cycles), *kind).cr_ramp

    assert [ramp(n, False, 1) for n in (1, 20, 50, 300)] == [1, 2, 5, 5]
    assert [ramp(n, True, 1) for n in (1, 20, 300)] == [1, 8, 120]
    assert [ramp(n, False, 5) for n in (1, 20, 300)] == [1, 10, 150]


def test_decisions_are_told():
    X = rows(3, n=60).numpy()
    clf = FlywheelClassifier(n_warmup_epochs=2, n_cycles=2, random_state=0).fit(X, (X[:, 0] > 0).astype(int))
    found = ["n_folds", "weights of columns", "prediction", "temperature of predictions", "labels"]
    assert list(clf.decisions_["decision"]) == found
    labels = clf.decisions_.iloc[-1]
    assert labels["n_rows"] == 60 and 0 <= labels["share"] <= 1 and np.isfinite(labels["z"])
