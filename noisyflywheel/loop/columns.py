"""Whether columns are weighed by what a forest finds in them: rows near each other in weighted columns tell.

Trees look for the columns that tell of the labels; the first layer of a perceptron, and a distance, see all of them
alike. Where most columns tell nothing both gain by weights, where all of them count together both lose.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from noisyflywheel.backbones.importance import column_weights
from noisyflywheel.loop.decide import Decision, compare

JUDGED_ROWS = 3_000
"""Rows, at most, that tell how columns are weighed."""

NEIGHBOURS = 15
"""Rows that are asked for the label of an unseen one."""


def weigh_columns(x: Tensor, encoded: Tensor, given: Tensor, weights: Tensor) -> tuple[Tensor, Decision]:
    """Weights of the columns for the members of a family, as strong as they help on rows that a member has not seen.

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

    Returns
    -------
    columns : Tensor of shape (M, d)
        Of mean square 1 where they help without doubt, 1 where they do not.
    decision : Decision
        Neighbours in weighted columns against neighbours in columns that are all alike.
    """
    columns = torch.stack([column_weights(x, given, own) for own in weights]).to(encoded.device)  # (M, d)
    weighted, alike = (torch.zeros(len(x), int(given.max()) + 1, device=x.device) for _ in range(2))
    for own, column in zip(weights, columns, strict=True):
        seen, unseen = own > 0, own == 0
        for prob, rows in ((weighted, encoded * column), (alike, encoded)):
            prob[unseen] = of_neighbours(rows[unseen], rows[seen], given[seen], prob.shape[1])
    decision = compare("weights of columns", "by a forest", "all alike", weighted, alike, given)
    return columns**decision.share, decision


def of_neighbours(x: Tensor, seen: Tensor, given: Tensor, n_classes: int) -> Tensor:
    """Shares of the labels ``given`` (m,) among the nearest of the rows ``seen`` (m, d) for each row ``x`` (n, d)."""
    nearest = torch.cdist(x, seen).topk(min(NEIGHBOURS, len(seen)), largest=False).indices  # (n, NEIGHBOURS)
    return F.one_hot(given[nearest], n_classes).float().mean(1)
