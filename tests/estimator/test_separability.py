"""How far features tell the classes apart: about the accuracy of a classifier, whatever share of labels is wrong."""

import pytest
import torch
from sklearn import config_context
from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator import defaults
from noisyflywheel.estimator import separability as rooms
from noisyflywheel.estimator.defaults import TOLD_APART, choose_n_folds
from noisyflywheel.estimator.separability import of_predictions, separability

pytestmark = pytest.mark.usefixtures("quick_folds")


def blobs(distance, n=600, d=70, n_classes=4, seed=0):
    """Rows (n, d) around ``n_classes`` centres, ``distance`` standard deviations from the middle, and their classes."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % n_classes
    centres = torch.nn.functional.normalize(torch.randn(n_classes, d, generator=rng), dim=1)
    return torch.randn(n, d, generator=rng) + distance * centres[y], y


def with_noise(y, rate, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return torch.where(torch.rand(len(y), generator=rng) < rate, torch.randint(0, 4, (len(y),), generator=rng), y)


def test_by_hand():
    """60 rows, two classes; the 30 surest agree in 27, the others in 18: (.75 - .5) / (.9 - .5)."""
    labels = torch.arange(60) % 2
    wrong = torch.zeros(60, dtype=torch.bool)
    wrong[:3] = True
    wrong[30:42] = True
    predicted = torch.where(wrong, 1 - labels, labels)
    sure = torch.where(torch.arange(60) < 30, 0.9, 0.6).double()
    prob = torch.stack([torch.where(predicted == k, sure, 1 - sure) for k in (0, 1)], 1)
    found = of_predictions(prob, labels)
    error = 0.625 * ((0.9 * 0.1 / 30) / 0.4**2 + (0.75 * 0.25 / 60) / 0.25**2) ** 0.5
    assert found == pytest.approx((0.75, 0.9, 0.625, error))


def test_agreement_by_chance_has_an_error_of_its_own():
    labels = torch.arange(60) % 2
    found = of_predictions(torch.eye(2)[1 - labels].double(), labels)
    assert found[:3] == (0.0, 0.0, 0.0)
    half = of_predictions(torch.eye(2)[(torch.arange(60) // 2) % 2].double(), labels)
    assert half.value == 0.0 and half.error > 1.0


def test_chance_is_none():
    x, y = blobs(0.0)
    assert separability(x, y).value < 0.5


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.6])
def test_wrong_labels_lower_the_agreement_not_the_value(rate):
    x, y = blobs(6.0)
    found = separability(x, with_noise(y, rate))
    assert found.agreement == pytest.approx(1 - 0.75 * rate, abs=0.06)
    assert found.value == pytest.approx(1.0, abs=2 * found.error + 0.05)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_classes_that_overlap_have_less_than_classes_that_do_not(rate):
    values = [separability(x, with_noise(y, rate)).value for x, y in map(blobs, (1.5, 2.5, 6.0))]
    assert values[0] < TOLD_APART < values[2] and values == sorted(values)


def test_digits_with_half_of_the_labels_drawn_anew():
    X, y = load_digits(return_X_y=True)
    y = torch.from_numpy(y)
    drawn = torch.randint(0, 10, (len(y),), generator=torch.Generator().manual_seed(0))
    half = torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.5
    found = separability(torch.from_numpy(X).float(), torch.where(half, drawn, y))
    assert 0.4 < found.agreement < 0.6 and found.value + found.error > 0.8


def test_many_rows_and_columns_are_drawn_from(monkeypatch):
    x, y = blobs(6.0)
    whole = separability(x, y)
    monkeypatch.setattr(rooms, "MOST_ROWS", 300)
    monkeypatch.setattr(rooms, "MOST_COLUMNS", 30)
    shapes = []
    monkeypatch.setattr(rooms, "by_forest", lambda x, labels: shapes.append(x.shape) or torch.eye(4)[labels])
    assert separability(x, y).value > 0.9 and shapes == [(300, 70)]
    assert whole.value > 0.9


def test_a_class_of_one_row_and_labels_of_one_class():
    x, y = blobs(6.0)
    y[0] = 4
    assert separability(x, y).value > 0.85
    alone = separability(x, torch.zeros_like(y))
    assert alone.value == 1.0 and alone.agreement != alone.agreement  # NaN: it was not asked


def test_few_rows_that_seem_to_tell_little_are_not_sure_to():
    """The same agreement: with 105 rows the error is too large to give up views of noise."""
    params = FlywheelClassifier().get_params(deep=False)
    (x, y), few = blobs(1.5, n=1000), slice(0, 105)
    assert choose_n_folds(params, x, len(x), given=y)[0] == 5
    assert choose_n_folds(params, x[few], 105, given=y[few])[0] == 1


def test_rows_that_tell_little_have_folds():
    params = FlywheelClassifier().get_params(deep=False)
    (hard, y), (easy, _) = blobs(1.5), blobs(6.0)
    found, decision = choose_n_folds(params, hard, len(y), given=y)
    assert found == 5 and decision.reason.startswith("70 features in one unit tell little of the classes: 0.")
    assert decision.agreement < decision.alternative_agreement and decision.n_rows == len(y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defaults, "MOST_ROWS", 300)
        assert choose_n_folds(params, hard, len(y), given=y)[1].n_rows == 300
    found, decision = choose_n_folds(params, easy, len(y), given=y)
    assert found == 1 and decision.chosen == "1" and decision.agreement > 0.95
    assert choose_n_folds(params, hard, len(y))[0] == 1  # without labels it cannot be told
    assert choose_n_folds(params, hard, 2**22, given=y)[0] == 1  # more numbers than folds are for
    assert choose_n_folds(params | {"n_folds": 1}, hard, len(y), given=y)[0] == 1


def test_the_fit_decides_by_its_labels():
    x, y = blobs(1.5)
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0).fit(x.numpy(), y.numpy())
    first = clf.decisions_.iloc[0]
    assert (first.decision, first.chosen) == ("n_folds", "5") and first.candidate == "all rows"


def test_wide_rows_whatever_scikit_learn_is_set_to_give():
    """Projected rows were a DataFrame, which has no numbers for rows."""
    x, labels = blobs(2.0, n=80, d=rooms.MOST_COLUMNS + 1)
    expected = rooms.by_linear_discriminant(x, labels)
    with config_context(transform_output="pandas"):
        assert torch.equal(rooms.by_linear_discriminant(x, labels), expected)
