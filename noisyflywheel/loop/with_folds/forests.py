"""Forests beside the members of the warm-up: asked of rows that they have not seen, they say whether they are needed.

On few rows, and where it matters exactly where a number lies, trees still do better than perceptrons. The labels of
unseen rows tell where.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.backbones.trees import Trees, grow
from noisyflywheel.loop.decisions.decide import Decision, compare

NEEDS = 0.0
"""Standard deviations of chance by which forests have to win to count half: as many rows won as lost are enough."""

MOST_ROWS, MOST_NUMBERS = 30_000, 50_000_000
"""Forests are asked of so many rows at most, which are all in memory then, and of so many numbers in them."""

ROWS_A_CALL = 1024
"""Rows that a forest is asked for at once."""

LEAST_SHARE = 0.05
"""Forests with a share below this are left out."""


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
    forests = [grow(x, given, own, n_classes) for own in weights]
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
