"""Weights of the columns of a table: how important a forest finds each of them for the given labels.

MLPs lose to trees where most columns tell nothing of the label: their first layer sees all columns alike.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from torch import Tensor

from noisyflywheel.backbones.trees import fit_forest

N_TREES, ROWS_A_LEAF, MOST_LEAVES = 200, 3, 100
"""Of the forest. A leaf has three rows or more, and no less than a hundredth of all: one wrong label makes no leaf."""

LEAST, MOST = 0.1, 3.0
"""Bounds of a column's weight before they are scaled: no column is lost, none is alone."""


def column_weights(x: Tensor, given: Tensor, sample_weight: Tensor) -> Tensor:
    """Weights of the columns, of mean square 1: roots of their importance in a forest.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows.
    given : Tensor of shape (n,), int64
        Their given labels.
    sample_weight : Tensor of shape (n,)
        Rows of weight 0 are left out.

    Returns
    -------
    Tensor of shape (d,), float32, on the CPU
        Positive.
    """
    least = max(ROWS_A_LEAF, int((sample_weight > 0).sum()) // MOST_LEAVES)
    forest = ExtraTreesClassifier(N_TREES, min_samples_leaf=least, max_features="sqrt", random_state=0)
    fit_forest(forest, x, given, sample_weight)
    with np.errstate(invalid="ignore"):  # no tree found anything: 0 / 0
        importances = torch.from_numpy(forest.feature_importances_)
    share = (importances * x.shape[1]).nan_to_num(1.0)
    weight = share.clamp(LEAST**2, MOST**2).sqrt()  # rounding leaves some importances just below 0
    return (weight / weight.square().mean().sqrt()).float()
