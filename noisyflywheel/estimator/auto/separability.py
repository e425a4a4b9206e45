"""How well the features tell the true classes apart, estimated from noisy labels alone.

A classifier predicts rows that it was not trained on. The predictions it is surest of are nearly always right: where
they disagree with given labels, these are wrong. Over all rows it makes errors of its own as well. Its agreement with
the given labels of all rows, divided by that on the surest rows, both less the agreement by chance, is therefore about
its accuracy: wrong labels lower both by the same factor. The surest rows are those of each predicted class: the
surest of all would be of the classes with few wrong labels.

Where features tell nothing, nobody is sure, and the surest are as wrong as all others are. So two classifiers of
different kinds are asked, and how often they predict the same class: what features tell both will see, wrong labels
that one of them follows the other will not.

The surest rows are few, and the quotient has an error of several hundredths. Where that leaves the question open, all
rows are asked how many of them the two are right in, through the T and the sharpness that make the given labels likely
(`noisyflywheel.em.sharpness`). That is what the classifiers learnt, which wrong labels lower too where most of those of
a class are of one other class; where they are few, or go to many classes, they hardly do.

References
----------
J. Cohen, "A Coefficient of Agreement for Nominal Scales", Educational and Psychological Measurement 1960.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.random_projection import GaussianRandomProjection
from torch import Tensor

from noisyflywheel.data.units import in_own_units
from noisyflywheel.em.sharpness import averaged_posterior
from noisyflywheel.em.some_rows import some_rows

TOLD_APART = 0.77
"""Separability below which features do not tell the classes apart."""

IN_ACCORD = 0.3
"""Accord of the two classifiers below which they do not either."""

SURELY = 1.0
"""Standard errors by which the separability has to lie below `TOLD_APART`, or the accord below `IN_ACCORD`, for folds:
one net on all rows then learns labels by heart and confirms what it guessed, or its classes run into each other
(docs/experiments_form.md, "Features that tell little")."""

KNOWN, CLEARLY_KEPT, PRECISE = 0.79, 0.6, 0.06
"""Where the separability is as near to its bound as that, features do not tell the classes apart if fewer rows than the
first share are known by likelihood; asked where classes keep their labels by the second margin, and the separability
has no larger error than the third: with few rows one net has the benefit of the doubt."""

LEAST = 1e-3
"""Probabilities of the two classifiers are at least so large before they are put together."""

MOST_ROWS = 5_000
"""Rows that classifiers are trained on, at most."""

N_TREES, ROWS_A_LEAF = 200, 3
"""Of the forest."""

N_PARTS, MOST_COLUMNS = 5, 512
"""Parts of the rows that the linear classifier leaves out in turn; more columns than this are projected for it."""

SUREST, FEWEST, FEWEST_OF_A_CLASS = 0.1, 30, 3
"""Share of the rows whose predictions are the surest, how many these are at least, and how many of each class."""


class Separability(NamedTuple):
    """What classifiers make of rows that they were not trained on."""

    agreement: float
    """Share of the given labels that it predicts."""
    among_surest: float
    """The same where it is surest."""
    value: float
    """About its accuracy, 0 for chance: at least 0."""
    error: float
    """Standard error of the value."""
    accord: float = math.nan
    """How often two classifiers predict the same class: 0 by chance, at most 1; NaN for one classifier."""
    accord_error: float = math.nan
    """Standard error of the accord."""
    known: float = math.nan
    """Share of the rows whose class the two together know, by likelihood: 0 by chance, at most 1."""
    kept: float = math.nan
    """By how much more of the labels of a class are its own than of any other class, in the mean: at most 1."""

    @property
    def tells(self) -> bool:
        """Whether features may tell the classes apart: no figure lies surely below its bound."""
        told = self.value + SURELY * self.error >= TOLD_APART
        known = not self.is_open or self.known >= KNOWN or self.kept < CLEARLY_KEPT
        return told and known and self.accord + SURELY * self.accord_error >= IN_ACCORD

    @property
    def is_open(self) -> bool:
        """Whether the separability leaves open if features tell the classes apart, though it is known well."""
        return abs(self.value - TOLD_APART) <= SURELY * self.error <= SURELY * PRECISE


def separability(x: Tensor, given: Tensor, ask_all: bool = False) -> Separability:
    """Separability by a forest and by a linear discriminant, the mean: what one of them misses the other may see.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows; drawn from where there are more than ``MOST_ROWS``.
    given : Tensor of shape (n,), int64
        Their given labels.
    ask_all : bool
        Whether all rows are asked also where the surest do not leave it open; what is decided is the same.
    """
    rows = some_rows(len(x), x.device, MOST_ROWS)
    classes, labels = given[rows].unique(return_inverse=True)
    if len(classes) < 2 or len(rows) < 2 * FEWEST:
        return Separability(math.nan, math.nan, 1.0, 0.0, 1.0, 0.0)  # nothing to tell apart, or too few rows to ask
    probs = [predict(x[rows], labels) for predict in (by_forest, by_linear_discriminant)]
    found = torch.tensor([of_predictions(prob, labels)[:4] for prob in probs]).mean(0)
    kappa, error = accord(*(prob.argmax(1) for prob in probs))
    asked = Separability(*found.tolist())._replace(accord=kappa, accord_error=error)
    if not (asked.is_open or ask_all):
        return asked
    known, kept = by_likelihood(probs, labels)
    return asked._replace(known=known, kept=kept)


def of_predictions(prob: Tensor, labels: Tensor) -> Separability:
    """Separability by predictions (n, K) of rows that the classifier was not trained on; ``labels`` (n,) are given."""
    right, weight = (prob.argmax(1) == labels).double(), weights_of_surest(prob)
    chance = float((labels.bincount() / len(labels)).square().sum())
    agreement, among_surest = float(right.mean()), min(float(weight @ right), 1.0)  # rounding
    surely = max(among_surest - chance, 1e-3)
    value = max(agreement - chance, 0.0) / surely
    spread, of_surest = agreement * (1 - agreement) / len(labels), among_surest * (1 - among_surest)
    error = (spread + value**2 * of_surest * float(weight.square().sum())) ** 0.5 / surely
    return Separability(agreement, among_surest, value, error)


def by_likelihood(probs: list[Tensor], labels: Tensor) -> tuple[float, float]:
    """What classifiers with probabilities (n, K) know together of rows with labels (n,), and by how much T keeps these.

    The former is the expected share of rows that they are right in, less that by chance (0 to 1); the latter the mean
    over classes, by their frequency, of the diagonal of T less the largest other number of the row.
    """
    found = averaged_posterior(together(probs), labels)
    frequency, T = found.guess.mean(0), found.transition
    chance = frequency.square().sum()
    others = T.clone().fill_diagonal_(0).amax(1)
    known = (found.guess.amax(1).mean() - chance) / (1 - chance).clamp_min(1e-9)
    return float(known), float(frequency @ (T.diagonal() - others))


def together(probs: list[Tensor]) -> Tensor:
    """Geometric mean of probabilities (n, K), none of them below `LEAST`; rows sum to 1."""
    return torch.stack([prob.clamp_min(LEAST).log() for prob in probs]).mean(0).softmax(1)


def accord(one: Tensor, other: Tensor) -> tuple[float, float]:
    """Cohen's kappa of the classes (n,) that two classifiers predict, and its standard error.

    The kappa is 0 by chance, and where both always predict one and the same class.
    """
    n, n_classes = len(one), int(torch.maximum(one, other).max()) + 1
    shares = [predicted.bincount(minlength=n_classes).double() / n for predicted in (one, other)]
    same, chance = float((one == other).double().mean()), float(shares[0] @ shares[1])
    room = max(1 - chance, 1e-9)
    return (same - chance) / room, (same * (1 - same) / n) ** 0.5 / room


def weights_of_surest(prob: Tensor) -> Tensor:
    """Weights (n,) for a mean over the surest rows of each predicted class; 0 for the other rows, in all 1.

    Each class counts by how often it is predicted.
    """
    sure, predicted = prob.max(1)
    order = sure.argsort(descending=True, stable=True)
    of_class = torch.nn.functional.one_hot(predicted[order])
    n_of_class = of_class.sum(0)
    n_surest = (n_of_class * max(SUREST, FEWEST / len(prob))).round().long().clamp_min(FEWEST_OF_A_CLASS)
    n_surest = n_surest.minimum(n_of_class)
    place = of_class.cumsum(0).gather(1, predicted[order, None]).squeeze(1)  # among those of its class, from 1
    own, weight = predicted[order], torch.zeros(len(prob), dtype=torch.float64)
    weight[order] = (n_of_class.double() / (len(prob) * n_surest))[own] * (place <= n_surest[own])
    return weight


def by_forest(x: Tensor, labels: Tensor) -> Tensor:
    """Out-of-bag probabilities of a forest: (n, K)."""
    forest = ExtraTreesClassifier(
        N_TREES, min_samples_leaf=ROWS_A_LEAF, max_features="sqrt", bootstrap=True, oob_score=True, random_state=0
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # they are classes
        forest.fit(in_own_units(x.numpy()), labels.numpy())
    return torch.from_numpy(forest.oob_decision_function_).nan_to_num()


def by_linear_discriminant(x: Tensor, labels: Tensor) -> Tensor:
    """Cross-validated probabilities of a linear discriminant with a shrunk covariance: (n, K).

    Classes with fewer than two rows in a training part are left out of it.
    """
    columns: Any = x.double().numpy()
    if x.shape[1] > MOST_COLUMNS:
        projection = GaussianRandomProjection(MOST_COLUMNS, random_state=0).set_output(transform="default")
        columns = projection.fit_transform(columns)
    prob = torch.zeros(len(x), int(labels.max()) + 1, dtype=torch.float64)
    part = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) % N_PARTS
    for i in range(N_PARTS):
        counts = labels[part != i].bincount(minlength=prob.shape[1])
        if (counts > 1).sum() < 2:
            continue
        seen, unseen = ((part != i) & (counts > 1)[labels]).numpy(), (part == i).nonzero()  # (m, 1)
        linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        found = linear.fit(columns[seen], labels.numpy()[seen]).predict_proba(columns[unseen.squeeze(1)])
        prob[unseen, torch.from_numpy(linear.classes_)] = torch.from_numpy(found)
    return prob
