"""How far features tell the classes apart: about the accuracy of a classifier, whatever share of labels is wrong."""

import pytest
import torch
from sklearn import config_context
from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.auto import defaults
from noisyflywheel.estimator.auto import separability as rooms
from noisyflywheel.estimator.auto.defaults import choose_n_folds
from noisyflywheel.estimator.auto.separability import (
    TOLD_APART,
    accord,
    of_predictions,
    separability,
    weights_of_surest,
)

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
    """80 rows, 48 of them taken for class 0; of these the 18 surest agree in 15, of the others the 12 surest in 12."""
    predicted = (torch.arange(80) >= 48).long()
    sure, right = torch.full((80,), 0.6, dtype=torch.float64), torch.ones(80, dtype=torch.bool)
    sure[:18], sure[48:60] = 0.9, 0.7  # the surest of class 1 are less sure than those of class 0
    right[:3], right[20:30], right[70:77] = False, False, False
    prob = torch.stack([torch.where(predicted == k, sure, 1 - sure) for k in (0, 1)], 1)
    labels = torch.where(right, predicted, 1 - predicted)
    weight = weights_of_surest(prob)
    assert weight[:18].tolist() == pytest.approx([48 / 80 / 18] * 18)
    assert weight[48:60].tolist() == pytest.approx([32 / 80 / 12] * 12)
    assert weight.sum() == pytest.approx(1.0) and (weight > 0).sum() == 30
    agreement, surest = 60 / 80, (48 * 15 / 18 + 32) / 80
    chance = (42 / 80) ** 2 + (38 / 80) ** 2
    value = (agreement - chance) / (surest - chance)
    spread = agreement * (1 - agreement) / 80, surest * (1 - surest) * (0.6**2 / 18 + 0.4**2 / 12)
    error = value * (spread[1] / (surest - chance) ** 2 + spread[0] / (agreement - chance) ** 2) ** 0.5
    assert of_predictions(prob, labels)[:4] == pytest.approx((agreement, surest, value, error))


def test_each_class_that_is_predicted_has_some_of_the_surest():
    prob = torch.full((1000, 3), 0.2, dtype=torch.float64)
    prob[:, 0] = 0.6
    prob[990:] = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)  # ten rows: a tenth would be one
    prob[999] = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)  # and one
    weight = weights_of_surest(prob)
    assert weight[:99].tolist() == pytest.approx([0.99 / 99] * 99) and not weight[99:990].any()
    assert weight[990:999].tolist() == pytest.approx([0.009 / 3] * 3 + [0.0] * 6)
    assert weight[999] == pytest.approx(0.001)


@pytest.mark.parametrize("n", [60, 75, 89, 138, 207, 289])
def test_labels_that_are_all_predicted_have_no_error(n):
    """Whatever rounding makes of weights that sum to 1: those of 138, 207 and 289 rows sum to more."""
    labels = torch.arange(n) % 7
    found = of_predictions(torch.eye(7, dtype=torch.float64)[labels], labels)
    assert found[:4] == pytest.approx((1, 1, 1, 0), abs=1e-6)
    assert found.among_surest <= 1 and isinstance(found.error, float), "no root of a number below 0"


def test_wrong_labels_of_some_classes_lower_the_agreement_not_the_value():
    """Where two of four classes are labelled as the two others, the surest rows of all are those of the others."""
    x, y = blobs(6.0, n=1200)
    moved = (y < 2) & (torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.4)
    before, found = separability(x, y), separability(x, torch.where(moved, y + 2, y))
    assert found.agreement < before.agreement - 0.15
    assert found.value > TOLD_APART + found.error, "0.66 beside the surest of all"


def test_agreement_by_chance_has_an_error_of_its_own():
    labels = torch.arange(60) % 2
    found = of_predictions(torch.eye(2)[1 - labels].double(), labels)
    assert found[:3] == (0.0, 0.0, 0.0)
    half = of_predictions(torch.eye(2)[(torch.arange(60) // 2) % 2].double(), labels)
    assert half.value == 0.0
    assert half.error == pytest.approx((0.5 * 0.5 / 60) ** 0.5 / 1e-3), "the surest rows are not above chance either"


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
    assert alone[2:6] == (1.0, 0.0, 1.0, 0.0) and alone.tells and not alone.is_open
    assert alone.agreement != alone.agreement and alone.known != alone.known  # NaN: it was not asked


@pytest.mark.parametrize(("n", "is_asked"), [(59, False), (60, True)])
def test_two_classes_and_sixty_rows_are_enough(n, is_asked):
    """Fewer rows than twice the thirty surest are not asked, and count as told apart."""
    found = separability(*blobs(0.0, n=n, n_classes=2))
    assert (0 <= found.agreement <= 1) is is_asked and (found.error > 0) is is_asked


def test_a_forest_and_a_discriminant_of_many_classes_do_not_warn():
    """scikit-learn takes many classes for a mistake; warnings are errors here."""
    x, _ = blobs(6.0, n=30)
    for predict in (rooms.by_forest, rooms.by_linear_discriminant):
        assert predict(x, torch.arange(30) % 20).shape == (30, 20)


def test_accord_by_hand():
    """Six of eight alike; by chance 5/8 of 6/8 and 3/8 of 1/8: class 2 is the other one's only."""
    one, other = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 0, 0, 0, 0, 1, 2])
    chance = (5 * 6 + 3 * 1) / 64
    kappa, error = accord(one, other)
    assert kappa == pytest.approx((6 / 8 - chance) / (1 - chance)) == accord(other, one)[0]
    assert error == pytest.approx((6 / 8 * 2 / 8 / 8) ** 0.5 / (1 - chance))


def test_classifiers_that_always_say_the_same_are_in_accord_by_chance():
    nothing, classes = torch.zeros(10, dtype=torch.int64), torch.arange(10) % 3
    assert accord(nothing, nothing) == (0.0, 0.0) == (accord(nothing, classes)[0], accord(nothing, nothing)[1])
    assert accord(classes, classes) == (1.0, 0.0)
    assert accord(classes, (classes + 1) % 3)[0] < 0


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.6])
def test_wrong_labels_leave_classifiers_in_accord(rate):
    x, y = blobs(6.0, n=1200)
    assert separability(x, with_noise(y, rate)).accord > 0.85


def rare_class(seed, n=1200, d=70):
    """Rows (n, d) whose features tell little of a class that one row in eight has, and labels three in ten of which
    are the other class."""
    rng = torch.Generator().manual_seed(seed)
    y = (torch.arange(n) % 8 == 0).long()
    x = torch.randn(n, d, generator=rng)
    x[:, :5] += 0.3 * y[:, None]
    return x, torch.where(torch.rand(n, generator=rng) < 0.3, 1 - y, y)


def test_where_nobody_is_sure_the_surest_are_as_wrong_as_all_others():
    """The value may be anything then, and its error is large; that the classifiers do not say the same shows it."""
    params, seen = FlywheelClassifier().get_params(deep=False), []
    for seed in range(4):
        x, given = rare_class(seed)
        found = separability(x, given)
        seen.append(found.value + found.error >= TOLD_APART)
        assert found.accord < 0.2
        assert choose_n_folds(params, x, len(x), given=given)[0] == 5
    assert any(seen), "by the value alone"


def test_few_rows_that_seem_to_tell_little_are_not_sure_to(monkeypatch):
    """The same agreement: with 105 rows the error is too large to give up views of noise."""
    monkeypatch.setattr(rooms, "N_TREES", 200)  # as in any fit
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


@pytest.mark.parametrize(("distance", "n", "seed", "folds"), [(2.07, 1800, 3, 5), (2.15, 3000, 0, 1)])
def test_where_the_surest_leave_it_open_all_rows_are_asked(monkeypatch, distance, n, seed, folds):
    """Three labels in ten drawn anew: the separability is within its error of the bound on both sets."""
    monkeypatch.setattr(rooms, "N_TREES", 200)  # as in any fit
    x, y = blobs(distance, n=n, seed=seed)
    given = with_noise(y, 0.3)
    found = separability(x, given)
    assert found.is_open and found.value + found.error >= TOLD_APART and found.kept > rooms.CLEARLY_KEPT
    chosen, decision = choose_n_folds(FlywheelClassifier().get_params(deep=False), x, n, given=given)
    assert chosen == folds and (found.known < rooms.KNOWN) is (folds > 1)
    assert (f"by likelihood {found.known:.2f}" in decision.reason) is (folds > 1)


def test_all_rows_are_asked_where_it_is_not_open_only_if_wanted():
    x, y = blobs(6.0)
    found, of_all = separability(x, y), separability(x, y, ask_all=True)
    assert found.known != found.known and found.kept != found.kept  # NaN
    assert of_all[:6] == found[:6] and of_all.known > 0.9 and of_all.kept > 0.9 and of_all.tells


def test_what_is_known_by_hand():
    """Sure of every row, and three in ten labels of each of two classes are the other's; sure of none."""
    y = torch.arange(2000) % 2
    sure = torch.nn.functional.one_hot(y).double()
    given = torch.where(torch.arange(2000) % 20 < 6, 1 - y, y)
    assert rooms.by_likelihood([sure, sure], given) == pytest.approx((1.0, 0.4), abs=0.01)
    assert rooms.by_likelihood([sure, sure], y) == pytest.approx((1.0, 1.0), abs=0.01)
    assert rooms.by_likelihood([sure * 0 + 0.5] * 2, y)[0] == pytest.approx(0.0, abs=0.01)


def test_labels_of_a_frequent_class_count_more():
    """Three rows in four are of class 0, whose labels are right; two in five labels of class 1 are class 0."""
    y = (torch.arange(2000) % 4 == 0).long()
    sure = torch.nn.functional.one_hot(y).double()
    given = torch.where(torch.arange(2000) % 20 < 8, 0, y)
    assert rooms.by_likelihood([sure, sure], given) == pytest.approx((1.0, 0.75 + 0.25 * 0.2), abs=0.01)


def test_two_classifiers_together_by_hand():
    """Odds of 9 and 1 are 3 together, those of 1,000, the largest, and a tenth are 10."""
    one, other = torch.tensor([[0.9, 0.1], [1.0, 0.0]]), torch.tensor([[0.5, 0.5], [1 / 11, 10 / 11]])
    found = rooms.together([one.double(), other.double()])
    odds = (1000 * 0.1) ** 0.5
    torch.testing.assert_close(found, torch.tensor([[0.75, 0.25], [odds / (1 + odds), 1 / (1 + odds)]]).double())


@pytest.mark.parametrize(
    ("value", "error", "known", "kept", "is_open", "tells"),
    [
        (0.77, 0.05, 0.78, 0.7, True, False),
        (0.77, 0.05, 0.80, 0.7, True, True),
        (0.77, 0.05, 0.50, 0.5, True, True),  # labels of a class are often of one other class
        (0.77, 0.07, float("nan"), float("nan"), False, True),  # few rows
        (0.83, 0.05, float("nan"), float("nan"), False, True),  # surely above the bound
        (0.83, 0.05, 0.50, 0.9, False, True),  # also where all rows were asked
        (0.71, 0.05, float("nan"), float("nan"), False, False),
        (0.71, 0.05, 0.90, 0.9, False, False),
    ],
)
def test_what_figures_say(value, error, known, kept, is_open, tells):
    asked = rooms.Separability(0.7, 0.8, value, error, 0.7, 0.01, known, kept)
    assert (asked.is_open, asked.tells) == (is_open, tells)
    assert not asked._replace(accord=0.28).tells


def test_the_fit_decides_by_its_labels():
    x, y = blobs(1.5)
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0).fit(x.numpy(), y.numpy())
    first = clf.decisions_.iloc[0]
    assert (first.decision, first.chosen) == ("n_folds", "5") and first.candidate == "all rows"


def test_a_discriminant_of_two_classes():
    x, y = blobs(6.0, n=60, d=5, n_classes=2)
    prob = rooms.by_linear_discriminant(x, y)
    assert torch.allclose(prob.sum(1), torch.ones(60, dtype=torch.float64)) and bool((prob.argmax(1) == y).all())


def test_a_class_of_one_row_has_no_discriminant_and_one_of_two_has_where_both_are_seen():
    """The five parts are of ten rows; two parts have a row of class 1 each, and leave the other one alone."""
    x, y = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(50, dtype=torch.int64)
    y[2:4] = 1
    assert rooms.by_linear_discriminant(x, y).sum(1).round().sum() == 30
    y[:25], y[2:4], y[49] = 2, 1, 3  # two large classes, one of two rows, one of one
    prob = rooms.by_linear_discriminant(x, y)
    assert torch.allclose(prob.sum(1), torch.ones(50, dtype=torch.float64))
    assert (prob[:, 1] > 0).sum() == 30 and not prob[:, 3].any()


def test_wide_rows_whatever_scikit_learn_is_set_to_give(monkeypatch):
    """Rows are projected, and a projection may be a DataFrame, which has no numbers for rows."""
    x, labels = blobs(2.0, n=80, d=rooms.MOST_COLUMNS + 1)
    expected = rooms.by_linear_discriminant(x, labels)
    with config_context(transform_output="pandas"):
        assert torch.equal(rooms.by_linear_discriminant(x, labels), expected)
    monkeypatch.setattr(rooms, "MOST_COLUMNS", x.shape[1])
    assert not torch.equal(rooms.by_linear_discriminant(x, labels), expected), "as they are"


def test_the_unit_does_not_matter():
    x, y = blobs(2.5)
    assert separability(x * 2.0**-40, y) == separability(x, y)
