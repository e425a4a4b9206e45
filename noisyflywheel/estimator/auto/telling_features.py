"""Whether a few of many features tell the classes, or quiet ones do, estimated from noisy labels.

One net on all rows sees all features of one unit alike, on one scale. That is right for pixels and embeddings, where
all tell together, and what hardly varies tells little. Among columns of a table a few may tell, or those in a smaller
unit: on few rows such a net never finds them. Nearest neighbours see what it sees. They are asked for the labels of
unseen rows, in features as the net sees them, with a scale for each, and weighted by a forest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.backbones.importance import column_weights
from noisyflywheel.em.some_rows import some_rows
from noisyflywheel.loop.decisions.decide import Decision, compare
from noisyflywheel.loop.with_folds.columns import BEYOND_DOUBT, JUDGED_ROWS, of_neighbours
from noisyflywheel.views.tails import signed_log
from noisyflywheel.views.vectors import feature_scale, heavy_tails

N_PARTS = 5
"""Parts of the rows that are left out in turn."""

WEIGHTED_ROWS = 1_000
"""Most rows that forests and their neighbours are asked of, which bounds the time of five forests."""


def weigh_quiet_features(x: Tensor, given: Tensor) -> Decision:
    """Neighbours by a scale for each feature against neighbours by one scale.

    Four standard deviations of chance are asked for. Pixels, embeddings and texts in latent semantic analysis, with and
    without wrong labels, had 3.2 at most (docs/experiments_form.md, "Features that tell little").

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows of one unit; drawn from where there are more than `JUDGED_ROWS`.
    given : Tensor of shape (n,), int64
        Their given labels.
    """
    one, given = as_seen(x, given, JUDGED_ROWS)
    deviation = one.std(0, correction=0)
    each = one / torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    candidates = unseen(each, given), unseen(one, given)
    return compare("n_folds", "a scale for each", "one scale", *candidates, given, BEYOND_DOUBT)


def weigh_few_features(x: Tensor, given: Tensor) -> Decision:
    """Neighbours by features that a forest weighs against neighbours by features that are all alike.

    Parameters as of `weigh_quiet_features`, of up to `WEIGHTED_ROWS` rows; the bound is the same.
    """
    alike, given = as_seen(x, given, WEIGHTED_ROWS)
    candidates = unseen(alike, given, weighted=True), unseen(alike, given)
    return compare("n_folds", "by a forest", "all alike", *candidates, given, BEYOND_DOUBT)


def as_seen(x: Tensor, given: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Some rows on one scale, as one net sees them, and their labels: (m, d) and (m,)."""
    rows = some_rows(len(x), x.device, most)
    x, given = x[rows], given[rows]
    tails = heavy_tails(x)
    x = signed_log(x, tails) if tails else x
    mean, scale = feature_scale(x)
    return (x - mean) / scale, given


def unseen(x: Tensor, given: Tensor, weighted: bool = False) -> Tensor:
    """Shares of the labels among the nearest rows of the other parts, whose forest may weigh the features: (n, K)."""
    part = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) % N_PARTS
    prob = torch.zeros(len(x), int(given.max()) + 1)
    for own in range(N_PARTS):
        out = part == own
        z = x * column_weights(x, given, (~out).float()) if weighted else x
        prob[out] = of_neighbours(z[out], z[~out], given[~out], prob.shape[1])
    return prob
