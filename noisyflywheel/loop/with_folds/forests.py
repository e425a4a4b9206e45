"""Forests beside the members: of the given labels beside the warm-up, of the refurbished labels in the ranking score.

On few rows, and where it matters exactly where a number lies, trees still do better than perceptrons. The labels of
unseen rows tell where. In the order of the labels another kind of classifier always has a say: what trees and
perceptrons get wrong differs.
"""

from __future__ import annotations

import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from noisyflywheel.backbones.trees import Trees, grow
from noisyflywheel.loop.decisions.decide import Decision, compare

NEEDS = 0.0
"""Standard deviations of chance by which forests have to win to count half: as many rows won as lost are enough."""

ROWS_A_CALL = 1024
"""Rows that a forest is asked for at once."""

LEAST_SHARE = 0.05
"""Forests with a share below this are left out."""

LEAST_PROB = 0.02
"""Refurbished classes with a probability below this are not learnt: a row would be learnt once for each class."""

LEAST_OF_REFURBISHED = 4
"""Rows a leaf of forests of refurbished labels, or more: smaller leaves repeat what the members say of single rows."""


def forests_of_members(x: Tensor, given: Tensor, weights: Tensor, n_classes: int) -> tuple[Trees, Tensor]:
    """A forest for each member, of the rows that it trains on, and what those say of a row that have not seen it.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows.
    given : Tensor of shape (n,), int64
        Their given labels.
    weights : Tensor of shape (M, n)
        What a row counts in the training of each member; 0 where it is left out.
    n_classes : int
        K.

    Returns
    -------
    trees : Trees
        On the device of ``x``.
    prob : Tensor of shape (n, K)
        Class shares by the forests that have not seen a row.
    """
    return of_unseen([grow(x, given, own, n_classes) for own in weights], x, weights, n_classes)


def of_unseen(
    forests: list[RandomForestClassifier], x: Tensor, weights: Tensor, n_classes: int
) -> tuple[Trees, Tensor]:
    """Forests as trees on the device of ``x`` (n, d), and the class shares (n, K) by those that have not seen a row.

    A forest has seen the rows above 0 in its line of ``weights`` (M, n).
    """
    trees = Trees(n_classes)
    trees.plant([forest.estimators_ for forest in forests], [forest.classes_ for forest in forests])
    trees.to(x.device)
    total = x.new_zeros(len(x), n_classes)
    unseen = weights.to(x.device) == 0  # (M, n)
    for root, own in zip(trees.root, unseen, strict=True):
        total[own] += torch.cat([trees.of_forest(root, part) for part in x[own].split(ROWS_A_CALL)])
    return trees, total / unseen.sum(0)[:, None]


def weigh_forests(prob: Tensor, early: Tensor, given: Tensor) -> Decision:
    """How much forests count beside the kept members, both predictions (n, K) of unseen rows with labels (n,)."""
    decision = compare("beside the warm-up", "forests", "none", prob, early, given, needs=NEEDS)
    return decision if decision.share > LEAST_SHARE else decision._replace(share=0.0)


def forests_of_refurbished(x: Tensor, refurbished: Tensor, weights: Tensor) -> Tensor:
    """What forests of the refurbished labels say of rows that they have not seen: class shares (n, K).

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows.
    refurbished : Tensor of shape (n, K)
        Distribution of their true labels: a row is learnt once for each class, and counts as much as that is likely.
    weights : Tensor of shape (M, n)
        What a row counts for each forest; 0 where it is left out.
    """
    refurbished, own = refurbished.cpu(), weights.cpu()  # where forests grow
    row, label = (refurbished > LEAST_PROB).nonzero(as_tuple=True)
    share, learnt, n_classes = refurbished[row, label].float(), x.cpu()[row], refurbished.shape[1]
    grown = [grow(learnt, label, line[row] * share, n_classes, LEAST_OF_REFURBISHED) for line in own]
    return of_unseen(grown, x, weights, n_classes)[1]
