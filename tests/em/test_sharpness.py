"""T from predictions of unseen rows: by hand, and where noise and overlap of classes have to be told apart."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from noisyflywheel import em
from noisyflywheel.em import division, sharpness


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def drawn(prob, seed=0):
    """A label of each row, drawn from its distribution."""
    u = torch.from_numpy(np.random.default_rng(seed).random((len(prob), 1)))
    return (prob.cumsum(1) < u * prob.sum(1, keepdim=True)).sum(1)


def prior_of_errors(prob, T, given, weights=None):
    """``exp(-(3 w)^4)`` for the share w of wrong labels, by Bayes' rule row by row."""
    weights = [1.0] * len(given) if weights is None else weights.tolist()
    wrong = 0.0
    for p, label, weight in zip(prob.tolist(), given.tolist(), weights, strict=True):
        joint = [p[k] * float(T[k, label]) for k in range(len(p))]
        wrong += weight * (1 - joint[label] / sum(joint))
    return math.exp(-((3 * wrong / sum(weights)) ** 4))


@pytest.fixture
def features_tell(monkeypatch):
    """That features tell nothing is out of the question."""
    never = double(-math.inf)[0]
    monkeypatch.setattr(
        sharpness, "untold", lambda p, *_: sharpness.Explanation(lambda q: q, torch.eye(p.shape[1]), never)
    )


def test_weights_are_repetitions():
    prob = torch.softmax(torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64), 1)
    given, weights = drawn(prob), torch.arange(40).double() % 3
    times = weights.long()
    found = em.averaged_posterior(prob, given, weights)
    repeated = em.averaged_posterior(prob.repeat_interleave(times, 0), given.repeat_interleave(times))
    assert_close(found[1], repeated[1])
    assert_close(found[0].repeat_interleave(times, 0), repeated[0])


def test_labels_of_separate_classes_that_are_often_another_one_are_wrong():
    """Every row says (.7, .3) or (.05, .95), as a net does that was trained on labels of which .3 and .05 are wrong."""
    truth = double([0.7, 0.3], [0.05, 0.95])
    y = torch.arange(1000) % 2
    error = torch.randn(1000, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    log_p, given = truth[y].log() + 0.2 * error, drawn(truth[y])
    refurbished, T, _ = em.averaged_posterior(log_p.softmax(1), given)
    assert_close(T, truth, atol=0.08, rtol=0)
    assert (refurbished.argmax(1) == y).double().mean() > 0.99
    assert float((given != y).double().mean()) == pytest.approx(0.175, abs=0.03)


def test_labels_of_overlapping_classes_are_right():
    """The rows say anything between (0, 1) and (1, 0), and are right about it."""
    p = torch.linspace(0.01, 0.99, 2000, dtype=torch.float64)
    prob = torch.stack([p, 1 - p], 1)
    given = drawn(prob)
    refurbished, T, _ = em.averaged_posterior(prob, given)
    clean = refurbished.gather(1, given[:, None])
    assert float(T.diagonal().min()) > 0.93 and float(clean.mean()) > 0.95
    assert (clean < 0.5).double().mean() < 0.02


def test_rows_sum_to_1_whatever_is_impossible():
    prob, given = double([1, 0, 0], [0, 1, 0]), torch.tensor([2, 1])
    refurbished, T, guess = em.averaged_posterior(prob, given)
    for rows in (refurbished, T, guess):
        assert rows.isfinite().all() and (rows >= 0).all()
        assert_close(rows.sum(1), torch.ones(len(rows), dtype=torch.float64))
    assert em.averaged_posterior(prob.float(), given)[0].dtype == torch.float64


def test_what_is_divided_out_is_the_mean_over_explanations(monkeypatch, features_tell):
    """Two temperatures divide by nothing; the matrices of the others count by their likelihood and prior."""
    prob, given = double([0.8, 0.2], [0.4, 0.6]), torch.tensor([0, 1])
    T, other = double([0.6, 0.4], [0.0, 1.0]), double([0.9, 0.1], [0.2, 0.8])

    def explained(scores, matrices, divides):
        both = zip(scores, matrices, strict=True)
        return [sharpness.Explanation(lambda p: p, m, double(s)[0].log(), divides) for s, m in both]

    monkeypatch.setattr(sharpness, "at_temperatures", lambda *_: iter(explained((1, 2), (T, other), False)))
    monkeypatch.setattr(sharpness, "divided", lambda *_: iter(explained((3, 4), (T, other), True)))
    found, divided = sharpness.posterior_and_division(prob, given, None, (1.0,))
    assert_close(divided, 0.3 * torch.eye(2, dtype=torch.float64) + 0.3 * T + 0.4 * other)
    assert_close(found.transition, 0.4 * T + 0.6 * other)
    assert_close(found, em.averaged_posterior(prob, given))


def test_predictions_that_are_only_made_sharper_or_flatter_divide_by_nothing(monkeypatch):
    """Whatever T suits them: it says how labels come from classes, and these predictions are of classes already."""
    prob, given = double([0.8, 0.2], [0.7, 0.3], [0.4, 0.6]), torch.tensor([0, 1, 1])
    monkeypatch.setattr(sharpness, "SHARES", ())
    found, divided = sharpness.posterior_and_division(prob, given, None, (1.0,))
    assert_close(divided, torch.eye(2, dtype=torch.float64))
    assert float(found.transition.diagonal().min()) < 0.9


def only_dividing_by(monkeypatch, transitions, shares=(1.0,)):
    """No temperatures of the predictions, and these transition matrices in place of those that the rows show."""
    monkeypatch.setattr(sharpness, "at_temperatures", lambda *_: iter(()))
    monkeypatch.setattr(sharpness, "possible_transitions", lambda *_: transitions)
    monkeypatch.setattr(sharpness, "SHARES", shares)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_likeliest_transition_is_divided_out(monkeypatch, order, features_tell):
    """Labels as the predictions say, which a T that keeps most labels explains; the other one calls class 0 class 1."""
    prob, given = double([0.9, 0.1], [0.8, 0.2], [0.1, 0.9]), torch.tensor([0, 0, 1])
    both = torch.stack([double([0.9, 0.1], [0.2, 0.8]), double([0.1, 0.9], [0.5, 0.5])])
    only_dividing_by(monkeypatch, both[list(order)])
    found, divided = sharpness.posterior_and_division(prob, given, None, (1.0,))
    assert_close(divided, both[0])
    assert_close(found.transition, both[0])


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_a_transition_begins_with_anchors_or_sharp_predictions_and_is_refined_by_all_rows(temperature):
    """Each is the T that makes the labels most likely when the one it began with is divided out, at a temperature."""
    prob, given = double([0.8, 0.2], [0.7, 0.3], [0.4, 0.6]), torch.tensor([0, 1, 1])
    weight = double(1, 2, 1)
    found = sharpness.possible_transitions(prob, given, weight, (temperature,))
    sharp = prob**4 / (prob**4).sum(1, keepdim=True)
    begun = [*division.anchor_transitions(prob, given, weight), em.likely_transition(sharp, given, weight)[0]]
    assert len(found) == len(begun)
    for T, beginning in zip(found, begun, strict=True):
        rest = division.divided_out(prob, beginning) ** (1 / temperature)
        rest /= rest.sum(1, keepdim=True)
        assert_close(T, em.likely_transition(rest, given, weight)[0])


def test_all_rows_show_more_of_a_transition_than_the_surest_ones():
    """Four classes with rows between them, predicted with errors: T by the surest quarter, and by all rows then."""
    truth = 0.7 * torch.eye(4, dtype=torch.float64) + 0.3 * torch.eye(4, dtype=torch.float64).roll(1, 1)
    weight, quarter, errors = torch.ones(800, dtype=torch.float64), division.ANCHORS.index(0.25), []
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        of_labels = torch.softmax(12 * torch.rand(800, 4, generator=generator, dtype=torch.float64), 1) @ truth
        error = torch.randn(800, 4, generator=generator, dtype=torch.float64)
        prob, given = torch.softmax(of_labels.log() + 0.5 * error, 1), of_labels.multinomial(1, generator=generator)
        rows = (prob, given.squeeze(1), weight)
        found = division.anchor_transitions(*rows)[quarter], sharpness.possible_transitions(*rows, (1.0,))[quarter]
        errors.append([float((T - truth).abs().mean()) for T in found])
    by_anchors, by_all = map(sum, zip(*errors, strict=True))
    assert by_all < 0.8 * by_anchors


def test_a_part_of_many_rows_is_enough(monkeypatch):
    prob = torch.softmax(3 * torch.randn(4000, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64), 1)
    given = drawn(prob @ double([0.9, 0.1], [0.3, 0.7]))
    whole = em.averaged_posterior(prob, given)
    monkeypatch.setattr(sharpness, "MOST_NUMBERS", 4000)  # every second row
    half = em.averaged_posterior(prob, given)
    assert_close(half[1], em.averaged_posterior(prob[::2], given[::2])[1])
    assert not torch.equal(half[1], whole[1]) and half[0].shape == whole[0].shape
    assert_close(half[0], whole[0], atol=0.15, rtol=0)


def test_a_part_of_many_rows_has_all_classes_where_these_take_turns(monkeypatch):
    """Every second row is of class 0, every third of any class."""
    truth, y = double([0.7, 0.3], [0.3, 0.7]), torch.arange(6000) % 2
    error = torch.randn(6000, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    prob, given = (truth[y].log() + 0.2 * error).softmax(1), drawn(truth[y])
    for numbers, evenly in ((4000, True), (6000, False)):
        monkeypatch.setattr(sharpness, "MOST_NUMBERS", numbers)
        some, labels, _ = sharpness.some_of(prob, given, torch.ones(6000))
        step = 12_000 // numbers
        assert len(some) == len(labels) == numbers / 2
        assert torch.equal(some, prob[::step]) == evenly
        assert_close(em.averaged_posterior(prob, given).transition, truth, atol=0.08, rtol=0)


@pytest.mark.parametrize("unseen", [0, 1])
def test_rows_without_weight_take_no_room_among_the_rows_that_are_asked(unseen, monkeypatch):
    """Every second row counts: evenly spaced rows alone might all be of those that do not."""
    truth, y = double([0.7, 0.3], [0.3, 0.7]), (torch.arange(6000) // 2) % 2
    error = torch.randn(6000, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    prob, given = (truth[y].log() + 0.2 * error).softmax(1), drawn(truth[y])
    weight = (torch.arange(6000) % 2 != unseen).double()
    monkeypatch.setattr(sharpness, "MOST_NUMBERS", 3000)
    counts = weight > 0
    found, alone = em.averaged_posterior(prob, given, weight), em.averaged_posterior(prob[counts], given[counts])
    assert_close(found.transition, alone.transition)
    assert_close(found.refurbished[counts], alone.refurbished)
    assert em.flattening(prob, given, truth, weight) == em.flattening(prob[counts], given[counts], truth)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("n_rows", "expected"), [(73, False), (74, True)])
def test_classes_take_turns_by_six_standard_errors(n_rows, expected, first):
    """All rows of class 0 are even, or odd, and half should be: 37 is above 6 sqrt(38), 36.5 below 6 sqrt(37.5)."""
    labels = torch.ones(2000, dtype=torch.int64)
    labels[first : 2 * n_rows : 2] = 0
    assert sharpness.takes_turns(labels, 2, 2) is expected


def test_likelihood_weighs_temperatures_against_their_prior(monkeypatch, features_tell):
    """Two temperatures, for one is above 4: they count by likelihood, tau ** -SHARPER and the prior of errors."""
    monkeypatch.setattr(sharpness, "TEMPERATURES", (0.5, 1.0, 8.0))
    monkeypatch.setattr(sharpness, "SHARES", ())
    prob, given = double([0.8, 0.2], [0.7, 0.3], [0.4, 0.6]), torch.tensor([0, 1, 1])
    found = {tau: em.likely_transition((prob.log() / tau).softmax(1), given) for tau in (0.5, 1.0)}
    wrong = [prior_of_errors((prob.log() / tau).softmax(1), found[tau][0], given) for tau in (0.5, 1.0)]
    odds = float(torch.exp(found[0.5][1] - found[1.0][1])) * 0.5**-sharpness.SHARPER * wrong[0] / wrong[1]
    share = odds / (1 + odds)
    refurbished, T, guess = em.averaged_posterior(prob, given)
    assert_close(T, share * found[0.5][0] + (1 - share) * found[1.0][0])
    sharp = (prob.log() / 0.5).softmax(1)
    assert_close(guess, share * sharp + (1 - share) * prob)
    parts = [em.posterior_through(p, found[tau][0], given) for tau, p in ((0.5, sharp), (1.0, prob))]
    assert_close(refurbished, share * parts[0] + (1 - share) * parts[1])


def test_what_is_out_of_the_question_is_left_out(monkeypatch, features_tell):
    """The likelihood of the other explanation is zero beside that of the second one, which counts whole."""
    prob, given, T = double([0.8, 0.2], [0.4, 0.6]), torch.tensor([0, 0]), torch.eye(2, dtype=torch.float64)
    never = sharpness.Explanation(lambda p: p * torch.nan, T, double(-2000.0)[0])
    true = sharpness.Explanation(lambda p: p, T, double(0.0)[0])
    monkeypatch.setattr(sharpness, "at_temperatures", lambda *tried: iter([never, true]))
    monkeypatch.setattr(sharpness, "divided", lambda *tried: iter([never]))
    refurbished, _, guess = em.averaged_posterior(prob, given)
    assert_close(guess, prob)
    assert_close(refurbished, double([1.0, 0.0], [1.0, 0.0]))


def test_what_is_left_of_a_division_gets_the_temperature_that_suits_it(monkeypatch):
    """At 1 the division itself; among three temperatures the likeliest times tau ** -SHARPER."""
    prob, given = double([0.65, 0.35], [0.6, 0.4], [0.3, 0.7], [0.35, 0.65]), torch.tensor([0, 0, 1, 0])
    weight, T = double(1, 1, 1, 2), double([0.8, 0.2], [0.4, 0.6])
    only_dividing_by(monkeypatch, T[None])
    divided = division.divided_out(prob, T)
    scores = {}
    for tau in (0.25, 1.0, 4.0):
        guess = divided ** (1 / tau) / (divided ** (1 / tau)).sum(1, keepdim=True)
        likelihood = ((guess @ T).gather(1, given[:, None]).squeeze(1).log() * weight).sum()
        scores[tau] = float(likelihood) - sharpness.SHARPER * math.log(tau)
    best = max(scores, key=scores.__getitem__)
    assert best == 0.25
    (plain,) = sharpness.divided(prob, given, weight)
    assert torch.equal(plain.guess(prob), divided)
    prior = prior_of_errors(divided, T, given, weight)
    assert float(plain.score) == pytest.approx(scores[1.0] - sharpness.CHEAPER + math.log(prior))
    sharp = divided**4 / (divided**4).sum(1, keepdim=True)
    for temperatures in ((4.0, 0.25), (4.0, 1.0, 0.25)):
        (suited,) = sharpness.divided(prob, given, weight, temperatures)
        assert_close(suited.guess(prob), sharp)
    prior = prior_of_errors(sharp, T, given, weight)
    assert float(suited.score) == pytest.approx(scores[0.25] - sharpness.CHEAPER + math.log(prior))


def test_rows_between_separate_classes_do_not_hide_that_labels_are_wrong(monkeypatch):
    """One row in ten is unsure: no temperature suits both kinds of rows, the anchors' matrix does."""
    truth = double([0.7, 0.3, 0.0], [0.0, 0.7, 0.3], [0.3, 0.0, 0.7])
    y = torch.arange(3000) % 3
    rows = torch.nn.functional.one_hot(y, 3).double()
    unsure = torch.arange(3000) % 10 == 0
    rows[unsure] = 1 / 3
    error = 0.2 * torch.randn(3000, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    given = drawn(truth[y])
    prob = ((rows @ truth).clamp_min(0.01).log() + error).softmax(1)
    refurbished, T, _ = em.averaged_posterior(prob, given)
    assert_close(T, truth, atol=0.15, rtol=0)
    assert (refurbished.argmax(1) == y)[~unsure].double().mean() > 0.97
    monkeypatch.setattr(sharpness, "SHARES", ())
    T = em.averaged_posterior(prob, given)[1]
    assert float(T.diagonal().min()) > 0.85


def test_likelihood_weighs_shares_of_a_transition_against_their_prior(monkeypatch, features_tell):
    """Two shares of T: they count by likelihood times exp(-CHEAPER share), and the prior of errors."""
    prob, given = double([0.8, 0.2], [0.7, 0.3], [0.4, 0.6]), torch.tensor([0, 1, 1])
    whole, kept = double([0.8, 0.2], [0.4, 0.6]), torch.eye(2, dtype=torch.float64)
    only_dividing_by(monkeypatch, whole[None], (0.25, 1.0))
    tried = [(1 - share) * kept + share * whole for share in (0.25, 1.0)]
    guesses = [division.divided_out(prob, T) for T in tried]
    likelihood = [(p @ T).gather(1, given[:, None]).log().sum() for p, T in zip(guesses, tried, strict=True)]
    wrong = [prior_of_errors(p, T, given) for p, T in zip(guesses, tried, strict=True)]
    odds = float(torch.exp(likelihood[0] - likelihood[1] + 0.75 * sharpness.CHEAPER)) * wrong[0] / wrong[1]
    share = odds / (1 + odds)
    _, T, guess = em.averaged_posterior(prob, given)
    assert_close(T, share * tried[0] + (1 - share) * tried[1])
    assert_close(guess, share * guesses[0] + (1 - share) * guesses[1])


def beside_the_labels(n_classes, spread=0.2):
    """Predictions that differ by chance only, and labels drawn evenly: 600 rows."""
    generator = torch.Generator().manual_seed(7)
    error = torch.randn(600, n_classes, generator=generator, dtype=torch.float64)
    return (spread * error).softmax(1), torch.randint(n_classes, (600,), generator=generator)


def wrong_and_suspected(prob, given):
    """Shares of the labels that are wrong, and that are probably wrong."""
    right = em.averaged_posterior(prob, given).refurbished.gather(1, given[:, None])
    return float(1 - right.mean()), float((right < 0.5).double().mean())


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_where_features_tell_nothing_few_labels_are_suspected(monkeypatch, features_tell, n_classes):
    """Predictions beside the labels: sharp ones and a flat T explain these as well, but call half of them wrong."""
    rows = beside_the_labels(n_classes)
    found = wrong_and_suspected(*rows)
    monkeypatch.setattr(sharpness, "log_prior", lambda guess, *_: guess.new_zeros(guess.shape[:-2]))
    without = wrong_and_suspected(*rows)
    assert without[0] > 0.4 and without[1] > 0.2
    assert found[0] < 0.36 and found[1] < 0.15


@pytest.mark.parametrize("n_classes", [3, 5, 10])
def test_labels_that_features_do_not_tell_are_right_where_predictions_are_too_sure(n_classes):
    """The surer such predictions are, the less likely is anything but that features tell nothing."""
    wrong = [wrong_and_suspected(*beside_the_labels(n_classes, spread)) for spread in (0.2, 0.4, 0.8)]
    assert wrong[2][0] < 0.75 * wrong[1][0] and wrong[1][0] < wrong[0][0]
    assert wrong[2][0] < 0.25 and wrong[2][1] == 0


def test_that_features_tell_nothing_by_hand():
    """Class 0 has three of four weights, and all labels are right."""
    prob, given, weight = double([0.8, 0.2], [0.7, 0.3], [0.4, 0.6]), torch.tensor([0, 1, 0]), double(1, 1, 2)
    found = sharpness.untold(prob, given, weight)
    assert_close(found.guess(prob[:2]), double([0.75, 0.25], [0.75, 0.25]))
    assert_close(found.transition, torch.eye(2, dtype=torch.float64))
    assert float(found.score) == pytest.approx(3 * math.log(0.75) + math.log(0.25))
    assert not found.divides


def test_matrices_of_many_classes_are_learnt_a_few_at_a_time_and_are_the_same(monkeypatch):
    p = torch.softmax(2 * torch.randn(50, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 1)
    given, weight = drawn(p), torch.ones(50, dtype=torch.float64)
    learnt, n_at_once = sharpness.likely_transition, []
    monkeypatch.setattr(sharpness, "likely_transition", lambda p, *rest: n_at_once.append(len(p)) or learnt(p, *rest))
    together = list(sharpness.at_temperatures(p, given, weight))
    assert n_at_once == [len(together)]
    for numbers, most in ((3 * 6**2, 3), (1, 1)):
        monkeypatch.setattr(sharpness, "MOST_NUMBERS", numbers)
        n_at_once.clear()
        apart = list(sharpness.at_temperatures(p, given, weight))
        assert sum(n_at_once) == len(together) and max(n_at_once) == most
        for one, other in zip(together, apart, strict=True):
            assert torch.equal(one.transition, other.transition) and torch.equal(one.score, other.score)


def test_weights_may_be_of_single_precision():
    prob, given = double([0.8, 0.2], [0.7, 0.3], [0.4, 0.6]), torch.tensor([0, 1, 1])
    weights = double(1, 0.5, 2)
    for function in (em.likely_transition, em.averaged_posterior):
        for single, whole in zip(function(prob, given, weights.float()), function(prob, given, weights), strict=True):
            assert_close(single, whole)


def test_shares_of_a_transition_rise_to_all_of_it():
    shares = sharpness.SHARES
    assert list(shares) == sorted(set(shares)) and shares[0] > 0 and shares[-1] == 1


def test_temperatures_go_up_to_four():
    prob, given = double([0.6, 0.4], [0.1, 0.9]), torch.tensor([0, 1])
    found = [*sharpness.at_temperatures(prob, given, torch.ones(2, dtype=torch.float64))]
    assert len(found) == 17, "from 1/4 to 4, four in each octave"


def test_rows_need_not_sum_to_1_exactly_and_may_be_certain():
    prob = torch.softmax(torch.randn(60, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64), 1)
    prob[:5] = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0, 1]]
    given = drawn(prob)
    found, scaled = em.averaged_posterior(prob, given), em.averaged_posterior(3 * prob, given)
    for one, other in zip(found, scaled, strict=True):
        assert one.isfinite().all()
        assert_close(one, other)
