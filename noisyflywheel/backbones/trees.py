"""Forests of decision trees, one for each member of a net: grown by scikit-learn, asked as tensors, on any device."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor, nn

from noisyflywheel.data.units import in_own_units, unit_exponents

N_TREES = 50
"""Of each forest."""

LEAST_A_LEAF, MOST_LEAVES, NUMBERS_A_TREE = 2, 2_000, 20_000
"""A leaf has two rows or more, and so many that a tree has no more than two thousand leaves, and no more than twenty
thousand class shares in them: nets are stored with their forests."""


class Trees(nn.Module):
    """Forests side by side; each says what share of the labels in its leaves is of which class.

    It has no trees at first, see `plant`; loaded states bring their own.

    Parameters
    ----------
    n_classes : int
        K.

    Attributes
    ----------
    root : Tensor of shape (M, T), int64
        Nodes at which the T trees of M forests begin.
    column : Tensor of shape (n_nodes,), int32
        Feature that a node asks for.
    threshold : Tensor of shape (n_nodes,), float32
        Rows at or below it go to the first child.
    child : Tensor of shape (n_nodes, 2), int32
        The nodes that follow; a leaf is followed by itself.
    leaf : Tensor of shape (n_nodes, K), float32
        Class shares at a node; rows sum to 1.
    n_levels : Tensor of shape (), int64
        Steps from a root to the lowest leaf.
    """

    root: Tensor
    column: Tensor
    threshold: Tensor
    child: Tensor
    leaf: Tensor
    n_levels: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("root", torch.zeros(0, 0, dtype=torch.int64))
        self.register_buffer("column", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(0))
        self.register_buffer("child", torch.zeros(0, 2, dtype=torch.int32))
        self.register_buffer("leaf", torch.zeros(0, n_classes))
        self.register_buffer("n_levels", torch.zeros((), dtype=torch.int64))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """That of Module, for as many nodes as the state has; that of an earlier version has none."""
        for name, none in Trees(self.leaf.shape[1]).state_dict().items():
            saved = state_dict.setdefault(f"{prefix}{name}", none)
            setattr(self, name, torch.empty_like(saved, device=self.leaf.device))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __len__(self) -> int:
        """Number of forests."""
        return len(self.root)

    def forward(self, x: Tensor) -> Tensor:
        """Class shares by every forest on the same rows: (B, d) -> (M, B, K)."""
        return torch.stack([self.of_forest(root, x) for root in self.root])

    def of_forest(self, root: Tensor, x: Tensor) -> Tensor:
        """Mean class shares of the leaves that rows come to, from the roots (T,): (B, d) -> (B, K)."""
        node = root.repeat(len(x))  # (B T,); flat, as index_select is much faster than indexing on the CPU
        start = torch.arange(len(x), device=x.device).repeat_interleave(len(root)) * x.shape[1]
        numbers, child = x.flatten(), self.child.flatten()
        for _ in range(int(self.n_levels)):  # sync: one scalar a forest, in prediction only
            number = numbers.index_select(0, start + self.column.index_select(0, node))
            is_above = number > self.threshold.index_select(0, node)
            node = child.index_select(0, 2 * node + is_above)
        return self.leaf.index_select(0, node).view(len(x), len(root), -1).mean(1)

    def plant(self, forests: list[list[DecisionTreeClassifier]], classes: list[np.ndarray]) -> None:
        """Take over the trees of fitted forests; ``classes`` are the codes, 0..K-1, that each forest knows."""
        parts = [self._nodes(tree, own) for forest, own in zip(forests, classes, strict=True) for tree in forest]
        sizes = torch.tensor([len(part["column"]) for part in parts])
        start = sizes.cumsum(0) - sizes
        nodes = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        nodes["child"] += start.repeat_interleave(sizes)[:, None]
        nodes["root"] = start.view(len(forests), -1)
        nodes["n_levels"] = torch.tensor(max(tree.get_depth() for forest in forests for tree in forest))
        for name, own in self.state_dict().items():
            setattr(self, name, nodes[name].to(own))

    def _nodes(self, tree: DecisionTreeClassifier, classes: np.ndarray) -> dict[str, Tensor]:
        """Buffers of one tree, whose root is node 0."""
        found, n = tree.tree_, tree.tree_.node_count
        itself = np.arange(n)
        is_leaf = found.children_left < 0
        children = np.where(is_leaf, itself, [found.children_left, found.children_right])
        leaf = np.zeros((n, self.leaf.shape[1]))
        leaf[:, classes] = found.value[:, 0]
        return {
            "column": torch.from_numpy(np.where(is_leaf, 0, found.feature)),
            "threshold": torch.from_numpy(float32_at_most(found.threshold)),
            "child": torch.from_numpy(children.T.copy()),
            "leaf": torch.from_numpy(leaf / leaf.sum(1, keepdims=True)),
        }


def float32_at_most(values: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each number: float32 rows compare with it as with the number itself."""
    near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


def grow(
    x: Tensor, given: Tensor, sample_weight: Tensor, n_classes: int, least: int = LEAST_A_LEAF
) -> RandomForestClassifier:
    """A fitted forest on the rows ``x`` (n, d) of weight above 0, for their given labels (n,), int64.

    Leaves have ``least`` rows or more. It is grown on as many threads as torch has, and is the same for any number of
    them.
    """
    n = int((sample_weight > 0).sum())
    most_leaves = max(1, min(MOST_LEAVES, NUMBERS_A_TREE // n_classes))
    least = max(least, math.ceil(n / most_leaves))
    threads = torch.get_num_threads()
    forest = RandomForestClassifier(N_TREES, min_samples_leaf=least, n_jobs=threads, random_state=0)
    return fit_forest(forest, x, given, sample_weight)


def fit_forest(forest: Any, x: Tensor, given: Tensor, sample_weight: Tensor) -> Any:
    """A forest of scikit-learn, fitted on the rows ``x`` (n, d) of weight above 0 and their given labels (n,).

    It is grown on columns in units of their own, and its thresholds are those of ``x``.
    """
    rows = (sample_weight > 0).nonzero().squeeze(1)
    own, labels, weights = (part[rows].cpu().numpy() for part in (x, given, sample_weight))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # they are classes
        forest.fit(in_own_units(own), labels, weights.astype(float))
    exponents = unit_exponents(own)
    for found in (tree.tree_ for tree in forest.estimators_):
        inner = found.feature >= 0
        found.threshold[inner] = np.ldexp(found.threshold[inner], exponents[found.feature[inner]])
    return forest
