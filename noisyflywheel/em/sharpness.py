"""T and the true classes, from out-of-fold predictions of nets that were trained on the given labels.

Such a prediction tends to ``p(y~ | x)``. If that is (.7, .3) nearly everywhere, either the classes are easy to tell
apart and three labels in ten are wrong, or the classes overlap and the labels are right: the likelihood of the given
labels (objective 3) is the same. Where predictions differ from row to row, the likelihood does tell the two apart. So
several explanations are tried, and what they say of a row is averaged, each weighted by how likely it makes the given
labels and by how few of these it calls wrong. The explanations are: the predictions at several temperatures, each with
the T that suits it; the predictions after dividing out a T that the surest rows of each class show; and that the
features tell nothing, so that no label is wrong as far as anybody can see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from noisyflywheel.em.auxiliary import posterior_through
from noisyflywheel.em.calibration import TEMPERATURES, likeliest
from noisyflywheel.em.counts import class_counts
from noisyflywheel.em.division import anchor_transitions, divided_at, divided_out, scaled, tempered
from noisyflywheel.em.likely import evidence_of, likely_transition, weighted_sum
from noisyflywheel.em.main import PROB_MIN
from noisyflywheel.em.some_rows import some_rows

MOST_FLAT = 4.0
"""Highest temperature that is tried; the others are those of `TEMPERATURES` below it."""

SHARPER = 2.0
"""Prior of a temperature: ``tau ** -SHARPER``. Of two explanations as likely, the one with fewer rows between classes
counts more, which is what the confidence regularizer (Eq. 9) asks of g."""

SHARES, CHEAPER = (0.25, 0.5, 0.75, 0.9, 1.0), 2.0
"""How much of T is divided out; the prior of a share s is ``exp(-CHEAPER s)``, because rows between classes can always
be read as wrong labels."""

MOST_WRONG, STEEP = 1 / 3, 4
"""Prior of an explanation by which a share w of the labels is wrong: ``exp(-(w / MOST_WRONG) ** STEEP)``. Where
features tell little, sharp predictions and a T that is nearly flat explain the labels as well as anything does; that
every second label is wrong needs more evidence than that."""

MOST_NUMBERS = 200_000
"""Probabilities of the rows that T is learnt from, at most."""

TAKE_TURNS = 6.0
"""Standard errors by which the number of a class among evenly spaced rows shows that classes take turns in the rows."""


class Explanation(NamedTuple):
    """What predictions of the given labels may mean."""

    guess: Callable[[Tensor], Tensor]
    """From predictions (n, K) to distributions of the true class (n, K)."""
    transition: Tensor
    score: Tensor
    """Log-likelihood of the given labels and logarithms of the priors: scalar."""
    divides: bool = False
    """Whether the guess is what is left of a prediction when T is divided out."""


class AveragedPosterior(NamedTuple):
    """What `averaged_posterior` finds; all float64."""

    refurbished: Tensor
    """Distribution of the true class, given the label: (N, K), rows sum to 1."""
    transition: Tensor
    """T, the mean of the explanations' matrices: (K, K), rows = true class."""
    guess: Tensor
    """Distribution of the true class, not given the label: (N, K), rows sum to 1."""


def averaged_posterior(
    prob: Tensor, given: Tensor, sample_weight: Tensor | None = None, temperatures: Sequence[float] = (1.0,)
) -> AveragedPosterior:
    """Distribution of the true class given the label, averaged over explanations of the predictions.

    Parameters
    ----------
    prob : Tensor of shape (N, K)
        Predictions of rows that the net was not trained on, rows sum to 1.
    given : Tensor of shape (N,), int64
        Given labels.
    sample_weight : Tensor of shape (N,), optional
        At least 0.
    temperatures : sequence of float, default (1.0,)
        Tried for the predictions that a T is divided out of: those of classifiers are too sure, or not sure enough.

    Returns
    -------
    AveragedPosterior

    Raises
    ------
    ValueError
        If no row has a weight above 0.
    """
    return posterior_and_division(prob, given, sample_weight, temperatures)[0]


def posterior_and_division(
    prob: Tensor, given: Tensor, sample_weight: Tensor | None, temperatures: Sequence[float]
) -> tuple[AveragedPosterior, Tensor]:
    """`averaged_posterior`, and the T to divide out of predictions of other rows: (K, K), float64, rows = true class.

    This is the mean over the explanations, of which those that only make predictions sharper or flatter divide by
    nothing.
    """
    p = prob.double().clamp_min(1e-12)
    p = p / p.sum(1, keepdim=True)
    weight = torch.ones_like(p[:, 0]) if sample_weight is None else sample_weight.to(p.dtype)
    tried = some_of(p, given, weight)
    found = [*at_temperatures(*tried), *divided(*tried, temperatures), untold(*tried)]
    share = torch.softmax(torch.stack([explanation.score for explanation in found]), 0)
    refurbished, guess = torch.zeros_like(p), torch.zeros_like(p)
    for s, explanation in zip(share.tolist(), found, strict=True):  # sync: one read
        if s == 0:  # with many rows most are out of the question
            continue
        of_all = explanation.guess(p)
        guess += s * of_all
        refurbished += s * posterior_through(of_all, explanation.transition, given)
    matrices = torch.stack([explanation.transition for explanation in found])
    divides = torch.tensor([explanation.divides for explanation in found], device=share.device)
    nothing = torch.eye(p.shape[1], dtype=p.dtype, device=p.device) * share[~divides].sum()
    division = torch.einsum("t,tij->ij", share[divides], matrices[divides]) + nothing
    return AveragedPosterior(refurbished, torch.einsum("t,tij->ij", share, matrices), guess), division


def some_of(p: Tensor, given: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Some rows of ``p`` (N, K), of labels and of weights (N,), with `MOST_NUMBERS` probabilities or fewer.

    Those of weight above 0, evenly spaced, or drawn where classes take turns in the rows.
    """
    counts = weight > 0
    if not bool(counts.all()):  # sync: one scalar
        p, given, weight = p[counts], given[counts], weight[counts]
    step = max(1, -(-p.numel() // MOST_NUMBERS))
    part: slice | Tensor = slice(None, None, step)
    if step > 1 and takes_turns(given, step, p.shape[1]):
        part = some_rows(len(p), p.device, len(p) // step)
    return p[part], given[part], weight[part]


def takes_turns(given: Tensor, step: int, n_classes: int) -> bool:
    """Whether every ``step``-th of the labels (N,) is of some class far more or less often than all of them are."""
    expected, found = class_counts(given, n_classes) / step, class_counts(given[::step], n_classes)
    return bool(((found - expected).abs() > TAKE_TURNS * (expected + 1).sqrt()).any())  # sync: one scalar


def at_temperatures(p: Tensor, given: Tensor, weight: Tensor) -> Iterator[Explanation]:
    """Predictions (n, K) made sharper or flatter, with the T that suits them; of many classes, a few T at a time."""
    guesses = [(tau, partial(tempered, temperature=tau)) for tau in TEMPERATURES if tau <= MOST_FLAT]
    at_once = max(1, MOST_NUMBERS // p.shape[1] ** 2)
    for start in range(0, len(guesses), at_once):
        some = guesses[start : start + at_once]
        guessed = torch.stack([guess(p) for _, guess in some])
        matrices, likelihood = likely_transition(guessed, given, weight)
        scores = likelihood + log_prior(guessed, matrices, given, weight)
        for (tau, guess), T, score in zip(some, matrices, scores, strict=True):
            yield Explanation(guess, T, score - SHARPER * math.log(tau))


def untold(p: Tensor, given: Tensor, weight: Tensor) -> Explanation:
    """Features tell nothing and labels are right, each class as frequent as its label; rows as in `at_temperatures`.

    Before labels are seen this is as likely as the predictions as they are, at temperature 1. Where it is so, any T
    with these frequencies explains the labels as well, and the other priors alone would call a third of them wrong.
    """
    n_classes = p.shape[1]
    counts = class_counts(given, n_classes, weight)
    frequency = (counts / counts.sum()).clamp_min(PROB_MIN)
    kept = torch.eye(n_classes, dtype=p.dtype, device=p.device)
    return Explanation(lambda rows: frequency.expand_as(rows), kept, frequency.log()[given] @ weight)


def divided(p: Tensor, given: Tensor, weight: Tensor, temperatures: Sequence[float] = (1.0,)) -> Iterator[Explanation]:
    """Predictions (n, K) from which a share of T is divided out, the likeliest of `possible_transitions`."""
    without = partial(divided_by, p, given=given, weight=weight, temperatures=temperatures)
    wholes = [without(T) for T in possible_transitions(p, given, weight, temperatures)]
    whole = wholes[likeliest([explanation.score for explanation in wholes])]
    kept = torch.eye(p.shape[1], dtype=p.dtype, device=p.device)
    for share in SHARES:
        yield whole if share == 1 else without(torch.lerp(kept, whole.transition, share), share=share)


def possible_transitions(p: Tensor, given: Tensor, weight: Tensor, temperatures: Sequence[float]) -> Tensor:
    """T as several beginnings show it and all rows refine it: (s, K, K), rows = true class.

    It begins with the anchors of each share, and with the T that suits the predictions at their sharpest. What is left
    of the predictions ``p`` (n, K) when such a T is divided out, at the temperature that suits it, says of every row
    which class it is; the T that makes the given labels most likely then has all rows to count, where anchors are few.
    """
    of_sharpest, _ = likely_transition(tempered(p, TEMPERATURES[0]), given, weight)
    left = []
    for T in [*anchor_transitions(p, given, weight), of_sharpest]:
        rest = divided_out(p, T)
        tau, _ = likely_temperature(rest, T, given, weight, temperatures)
        left.append(scaled(rest, tau))
    return likely_transition(torch.stack(left), given, weight)[0]


def divided_by(
    p: Tensor, T: Tensor, given: Tensor, weight: Tensor, temperatures: Sequence[float], share: float = 1.0
) -> Explanation:
    """Predictions (n, K) from which T (K, K) is divided out, at the temperature that suits what is left."""
    rest = divided_out(p, T)
    tau, score = likely_temperature(rest, T, given, weight, temperatures)
    score = score - CHEAPER * share + log_prior(scaled(rest, tau), T, given, weight)
    return Explanation(partial(divided_at, T=T, temperature=tau), T, score, divides=True)


def likely_temperature(
    guess: Tensor, T: Tensor, given: Tensor, weight: Tensor, temperatures: Sequence[float]
) -> tuple[float, Tensor]:
    """The temperature of guesses (n, K) that is most likely through T, and its score: log-likelihood and prior."""
    prior = torch.tensor([-SHARPER * math.log(tau) for tau in temperatures], dtype=guess.dtype, device=guess.device)
    scores = likelihoods(guess, T, given, weight, temperatures) + prior
    at = int(scores.argmax()) if len(scores) > 1 else 0  # sync: one scalar
    return temperatures[at], scores[at]


def log_prior(guess: Tensor, T: Tensor, given: Tensor, weight: Tensor) -> Tensor:
    """Logarithm of the prior of the share of wrong labels by guesses (..., n, K) and T (..., K, K): (...)."""
    rows = torch.arange(len(given), device=given.device)
    right = guess[..., rows, given] * T.diagonal(0, -2, -1)[..., given] / evidence_of(guess, T, given)
    wrong = 1 - weighted_sum(right, weight) / weighted_sum(torch.ones_like(weight), weight)
    return -((wrong / MOST_WRONG) ** STEEP)


def likelihoods(p: Tensor, T: Tensor, given: Tensor, weight: Tensor, temperatures: Sequence[float]) -> Tensor:
    """Log-likelihood of the given labels, through T, of guesses ``p`` (n, K) at each temperature: (t,)."""
    return torch.stack([evidence_of(scaled(p, tau), T, given).log() @ weight for tau in temperatures])
