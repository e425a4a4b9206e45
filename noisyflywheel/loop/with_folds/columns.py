"""Whether the columns of a table are weighted by their importance in a forest; nearest neighbours decide.

Trees pick the columns that tell of the labels; the first layer of an MLP, and a distance, see all columns alike. Where
most columns tell nothing, both gain by weights; where all columns count together, both lose. So the neighbours of
unseen rows are asked for the given labels, with and without weights: what helps them helps the nets.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from noisyflywheel.backbones.importance import column_weights
from noisyflywheel.data import float64_device
from noisyflywheel.loop.decisions.decide import Decision, compare, share_of

JUDGED_ROWS = 3_000
"""Most rows that the forest and the neighbours see."""

NEIGHBOURS = 15
"""Nearest rows that predict the label of an unseen one."""

BEYOND_DOUBT = 4.0
"""Standard deviations by which weighted columns have to win for members of the earlier families to weight them by half.
These families are there for labels that depend on columns which tell little one by one."""

LEAST_SHARE = 0.05
"""Weights with a share below this are left out."""


def weigh_columns(x: Tensor, encoded: Tensor, given: Tensor, weights: Tensor, n_folds: int) -> tuple[Tensor, Decision]:
    """Weights of the columns for each member, the stronger the more surely they help on rows it has not seen.

    Decided on the folds of the last family; earlier families follow where the answer is beyond doubt.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows.
    encoded : Tensor of shape (n, d)
        Their columns on one scale.
    given : Tensor of shape (n,), int64
        Their given labels.
    weights : Tensor of shape (M, n)
        What a row counts in the training of each member; 0 in its own fold.
    n_folds : int
        Members of each family.

    Returns
    -------
    columns : Tensor of shape (M, d)
        Of mean square 1 where they help without doubt, 1 where they do not.
    decision : Decision
        Neighbours in weighted columns against neighbours in columns that are all alike.
    """
    given, weights = given.to(x.device), weights.to(x.device)
    earlier, last = weights[:-n_folds], weights[-n_folds:]
    columns = weights_of_members(x, given, last)
    weighted, alike = (torch.zeros(len(x), int(given.max()) + 1, device=x.device) for _ in range(2))
    for own, column in zip(last, columns, strict=True):
        seen, unseen = own > 0, own == 0
        for prob, rows in ((weighted, encoded * column), (alike, encoded)):
            prob[unseen] = of_neighbours(rows[unseen], rows[seen], given[seen], prob.shape[1])
    there = float64_device(x.device)
    weighted, alike = weighted.to(there), alike.to(there)
    decision = compare("weights of columns", "by a forest", "all alike", weighted, alike, given.to(there))
    shares = decision.share, share_of(decision.z, BEYOND_DOUBT)
    share, beyond = (found if found > LEAST_SHARE else 0.0 for found in shares)
    others = weights_of_members(x, given, earlier) ** beyond if beyond else x.new_ones(len(earlier), x.shape[1])
    return torch.cat([others, columns**share]), decision


def weights_of_members(x: Tensor, given: Tensor, weights: Tensor) -> Tensor:
    """`column_weights` of each member: (M, d)."""
    return torch.stack([column_weights(x, given, own) for own in weights]).to(x.device)


def of_neighbours(x: Tensor, seen: Tensor, given: Tensor, n_classes: int) -> Tensor:
    """Shares of the labels ``given`` (m,) among the nearest of the rows ``seen`` (m, d) for each row ``x`` (n, d)."""
    nearest = torch.cdist(x, seen).topk(min(NEIGHBOURS, len(seen)), largest=False).indices  # (n, NEIGHBOURS)
    return F.one_hot(given[nearest], n_classes).float().mean(1)
