"""Whether features that are quieter than the others tell of the classes, estimated from noisy labels.

One net on all rows sees features of one unit on one scale, which is right for pixels and embeddings: what hardly varies
there tells little. Where columns of a few units are mixed, the quiet ones may tell most, and such a net never sees
them. Nearest neighbours see what it sees: they are asked for the labels of unseen rows, once with one scale and once
with a scale for each feature.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.em.some_rows import some_rows
from noisyflywheel.loop.columns import BEYOND_DOUBT, JUDGED_ROWS, of_neighbours
from noisyflywheel.loop.decide import Decision, compare
from noisyflywheel.views.tails import signed_log
from noisyflywheel.views.vectors import feature_scale, heavy_tails

N_PARTS = 5
"""Parts of the rows that are left out in turn."""


def weigh_quiet_features(x: Tensor, given: Tensor) -> Decision:
    """Neighbours by a scale for each feature against neighbours by one scale.

    Four standard deviations of chance are asked for. Pixels, embeddings and texts in latent semantic analysis, with and
    without wrong labels, had 3.2 at most (docs/experiments.md, "Features that tell little").

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows of one unit; drawn from where there are more than `JUDGED_ROWS`.
    given : Tensor of shape (n,), int64
        Their given labels.
    """
    rows = some_rows(len(x), x.device, JUDGED_ROWS)
    x, given = x[rows], given[rows]
    tails = heavy_tails(x)
    x = signed_log(x, tails) if tails else x
    mean, scale = feature_scale(x)
    one = (x - mean) / scale
    deviation = one.std(0, correction=0)
    each = one / torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    return compare(
        "n_folds", "a scale for each", "one scale", unseen(each, given), unseen(one, given), given, BEYOND_DOUBT
    )


def unseen(x: Tensor, given: Tensor) -> Tensor:
    """Shares of the labels among the nearest rows of the other parts: (n, K)."""
    part = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) % N_PARTS
    prob = torch.zeros(len(x), int(given.max()) + 1)
    for own in range(N_PARTS):
        out = part == own
        prob[out] = of_neighbours(x[out], x[~out], given[~out], prob.shape[1])
    return prob
