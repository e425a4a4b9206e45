"""Many small perceptrons in one module: each leaves out its own fold of the rows, together they predict as a mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from noisyflywheel.backbones.encodings import PiecewiseLinear, QuantileScale, most_bins
from noisyflywheel.backbones.family import Family
from noisyflywheel.backbones.trees import Trees
from noisyflywheel.data.devices import float64_device
from noisyflywheel.em.division import divided_out, scaled

HARDLY = 0.01
"""Share of wrong labels, in each class, below which no T is divided out of predictions."""


class FoldedMLP(nn.Module):
    """Perceptrons on two encodings of numeric columns, one per fold and encoding.

    One family of members sees columns on a quantile scale, the other these and piecewise-linear bins of them; each
    member may weigh them (`weigh`). In training mode ``forward`` gives the logits of every member; in eval mode the
    logarithm of their mean probability, mixed with that of members kept from the end of the warm-up (`keep`), which are
    not trained, and made flatter (`mix_in_kept`). Beside each of these there may be a forest (`mix_in_trees`).

    Parameters
    ----------
    n_features, n_classes : int
        Widths.
    n_folds : int, default=5
        Members of each family.
    width : int, default=128
        Of both hidden layers.
    dropout : float in [0, 1), default=0.1
        After each hidden layer.
    n_encoded : int, optional
        Length of the piecewise-linear encoding (`noisyflywheel.backbones.encodings.count_bins`); by default as many as
        any columns need. ``fit`` fills it in.
    only_own : bool, default=False
        Whether a step of training sends each member only the rows that it trains on: with two folds half the work of
        all rows, with more folds hardly less. The gradient is the same, dropout draws other masks.

    Attributes
    ----------
    kept_share : Tensor of shape ()
        Weight of the kept members in predictions, 0 at first.
    kept_division : Tensor of shape (n_classes, n_classes)
        T, rows = true class, that is divided out of what they say of the given labels; the identity at first.
    tree_share : Tensor of shape ()
        Weight of the forests beside the kept members; there are none at first.
    temperature : Tensor of shape ()
        Of the predictions of all of these together, 1 at first; above 1 flattens.
    """

    kept_share: Tensor
    kept_division: Tensor
    tree_share: Tensor
    temperature: Tensor

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        n_folds: int = 5,
        width: int = 128,
        dropout: float = 0.1,
        n_encoded: int | None = None,
        only_own: bool = False,
    ) -> None:
        super().__init__()
        self.n_folds, self.only_own = n_folds, only_own
        self.scale = QuantileScale(n_features)
        n_encoded = most_bins(n_features) if n_encoded is None else n_encoded
        self.bins = PiecewiseLinear(n_encoded)
        inputs = [n_features, n_features + n_encoded]
        self.families: Any = nn.ModuleList(Family(n_folds, n, n_classes, width, dropout) for n in inputs)
        self.kept: Any = nn.ModuleList(Family(n_folds, n, n_classes, width, 0.0) for n in inputs * 2)
        self.kept.requires_grad_(False)
        self.register_buffer("kept_share", torch.zeros(()))
        self.register_buffer("kept_division", torch.eye(n_classes))
        self.trees = Trees(n_classes)
        self.register_buffer("tree_share", torch.zeros(()))
        self.register_buffer("temperature", torch.ones(()))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Kept members pickled before a T was divided out say what they say, with no forests beside them, as sure."""
        super().__setstate__(state)
        self._buffers.setdefault("kept_division", torch.eye(self.n_classes, device=self.kept_share.device))
        self._buffers.setdefault("tree_share", torch.zeros_like(self.kept_share))
        self._buffers.setdefault("temperature", torch.ones_like(self.kept_share))
        self._modules.setdefault("trees", Trees(self.n_classes).to(self.kept_share.device))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """That of Module; an earlier version divided by nothing, had no trees, and was as sure as its members."""
        state_dict.setdefault(f"{prefix}kept_division", torch.eye(self.n_classes))
        state_dict.setdefault(f"{prefix}tree_share", torch.zeros(()))
        state_dict.setdefault(f"{prefix}temperature", torch.ones(()))
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def n_classes(self) -> int:
        """K."""
        return self.families[0].w3.shape[2]

    @property
    def n_members(self) -> int:
        """M, of both families together."""
        return self.n_folds * len(self.families)

    def adapt(self, x: Tensor) -> None:
        """Learn the encodings from rows ``x`` of shape (n, n_features); called once by ``fit``."""
        x = x.to(float64_device(x.device))
        self.scale.adapt(x)
        self.bins.adapt(x)

    @torch.no_grad()
    def weigh(self, columns: Tensor) -> None:
        """Weigh the columns for each member: ``columns`` (M, n_features); bins have the weight of their column."""
        for family, own in zip(self.families, columns.split(self.n_folds), strict=True):
            in_all = torch.cat([own, own[:, self.bins.column]], 1)  # (n_folds, n_features + n_encoded)
            family.input_weight.copy_(in_all.T[: len(family.input_weight)])

    def encodings(self, x: Tensor) -> list[Tensor]:
        """Input of each family: (B, n_features) -> [(B, n_inputs)]."""
        scaled = self.scale(x)
        return [scaled, torch.cat([scaled, self.bins(x)], 1)]

    def encoding(self, family: int, x: Tensor) -> Tensor:
        """Input of one family: (B, n_features) -> (B, n_inputs)."""
        return self.scale(x) if family == 0 else self.encodings(x)[family]

    def forward(self, x: Tensor, trains: Tensor | None = None) -> Tensor:
        """Logits of every member (M, B, K) in training, of the whole (B, K) in eval mode.

        With ``trains``, bool (M, B), those of the rows that a member does not train on may be anything finite.
        """
        if trains is not None and self.training:
            return self._of_own_rows(x, trains)
        encoded = self.encodings(x)
        logits = torch.cat([family(part) for family, part in zip(self.families, encoded, strict=True)])
        if self.training:
            return logits
        prob = logits.softmax(-1).mean(0)
        if bool(self.kept_share > 0):  # sync: one scalar a forward, in prediction only
            kept = torch.cat([family(part) for family, part in zip(self.kept, encoded * 2, strict=True)])
            early = kept.softmax(-1).mean(0)
            if len(self.trees):
                early = torch.lerp(early, self.trees(x).mean(0), self.tree_share)
            prob = torch.lerp(prob, self.of_kept(early), self.kept_share)
        return scaled(prob.clamp_min(1e-30), float(self.temperature)).log()  # sync: as above

    def of_kept(self, prob: Tensor) -> Tensor:
        """Distribution of the true class (B, K), from what the kept members say of the given label."""
        return divided_out(prob, self.kept_division) if self.divides() else prob

    def divides(self) -> bool:
        """Whether a T is divided out of what the kept members say: where it has wrong labels worth mentioning."""
        return bool((1 - self.kept_division.diagonal()).amax() >= HARDLY)  # sync: as in `forward`

    def _of_own_rows(self, x: Tensor, trains: Tensor) -> Tensor:
        """Logits (M, B, K) where a member trains on a row; 0, or what was computed to fill up, elsewhere."""
        most = int(trains.sum(1).max())  # sync: one scalar a step, why `only_own` is for the CPU
        rows = trains.byte().argsort(dim=1, descending=True, stable=True)[:, :most]  # (M, s), a member's own ones first
        logits = self.apart(x[rows])  # (M, s, K)
        return logits.new_zeros(len(rows), len(x), logits.shape[2]).scatter(
            1, rows[..., None].expand_as(logits), logits
        )

    def apart(self, x: Tensor, kept: bool = False) -> Tensor:
        """Logits of every member on rows of its own: (M, B, n_features) -> (M, B, K), of the kept ones (2 M, B, K)."""
        own = [self.encoding(family, part.flatten(0, 1)) for family, part in enumerate(x.split(self.n_folds))]
        own = [part.unflatten(0, (self.n_folds, -1)) for part in own]
        families = self.kept if kept else self.families
        parts = own * 2 if kept else own
        return torch.cat([family.apart(part) for family, part in zip(families, parts, strict=True)])

    @torch.no_grad()
    def mix_in_kept(
        self, share: float | Tensor, division: Tensor | None = None, temperature: float | Tensor = 1.0
    ) -> None:
        """Give the kept members a ``share`` of predictions, and the T (K, K) to divide out; None: the identity.

        ``temperature`` is then that of what all members predict together.
        """
        self.temperature.fill_(temperature)
        self.kept_share.fill_(share)
        self.kept_division.copy_(torch.eye(len(self.kept_division)) if division is None else division)

    @contextmanager
    def alone(self, kept: bool) -> Iterator[None]:
        """Inside, predictions are those of the kept members alone, or of the others alone, as sure as they are."""
        before = self.kept_share.clone(), self.kept_division.clone(), self.temperature.clone()
        self.mix_in_kept(float(kept))
        try:
            yield
        finally:
            self.mix_in_kept(*before)

    @torch.no_grad()
    def mix_in_trees(self, trees: Trees, share: float) -> None:
        """Put forests beside the kept members, with a ``share`` of what these say together."""
        self.trees = trees.to(self.tree_share.device)
        self.tree_share.fill_(share)

    @torch.no_grad()
    def keep(self, family: int) -> None:
        """Copy the members of one family, as they are, to the kept ones."""
        self.kept[family].load_state_dict(self.families[family].state_dict())

    @torch.no_grad()
    def keep_of(self, other: FoldedMLP) -> None:
        """Copy what another net has kept to a second place of the kept ones."""
        for mine, its in zip(self.kept[len(self.families) :], other.kept, strict=False):
            mine.load_state_dict(its.state_dict())

    @torch.no_grad()
    def go_back_to_kept(self) -> None:
        """Copy the kept members back into those that train."""
        for family, kept in zip(self.families, self.kept, strict=False):
            family.load_state_dict(kept.state_dict())
