"""The flywheel for many rows of many classes: f's predictions are its only array (N, K), all else is in blocks of rows.

Beyond `LARGE` numbers in that array, g's predictions are never kept. f's are in neither the last good state nor a
checkpoint: going back, f predicts them again from the same views. Beyond `HALF` numbers they are kept as float16, which
has three digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.em.calibration import TEMPERATURES, likeliest
from noisyflywheel.em.corruption import row_normalised
from noisyflywheel.em.counts import class_counts
from noisyflywheel.loop import main_em
from noisyflywheel.loop.closing import Closing, label_posterior
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.state import FlywheelState
from noisyflywheel.nets.trainer import Trainer

LARGE, HALF = 2**23, 2**25
"""Sizes N K above which `LargeFlywheel` is used, and above which f's predictions are kept as float16."""

BLOCK = 2**20
"""Numbers of a block, rows times classes."""


class OfGiven(NamedTuple):
    """What the E-step needs of g's prediction of each row of a cycle, in place of (B, K): (B,) each."""

    score: Tensor
    """Ranking score, float64."""
    g_given: Tensor
    """Probability of the given label."""
    confidence: Tensor
    """Of the most likely class."""
    agrees: Tensor
    """Whether f predicts it too."""
    f_right: Tensor
    """Whether f predicts the given label."""

    @classmethod
    def empty(cls, n_rows: int, device: torch.device) -> OfGiven:
        """To be filled block by block: results kept one by one between blocks that go leave holes of their size."""
        types = (torch.float64, torch.float32, torch.float64, torch.bool, torch.bool)
        return cls(*(torch.empty(n_rows, dtype=dtype, device=device) for dtype in types))


class LargeFlywheel(Flywheel):
    """Two interlocked EM cycles; parameters as of `Flywheel`, whose arithmetic it does block by block."""

    _source: Tensor | str | None = None
    """How f's prediction can be made again: "plain" of rows as they are, or the state that the generator of views had
    before the last guess."""
    _source_aligned = False
    """Whether the last guess was aligned."""
    resample_dtype = torch.float32

    def _first_f_prob(self) -> Tensor:
        n, k = len(self.given), self.n_classes
        self.storage = torch.float16 if n * k > HALF else torch.float32
        return torch.full((n, k), 1.0 / k, dtype=self.storage, device=self.given.device)

    # ---- Figure 2

    def _e_step_main(self, rows: Tensor) -> None:
        """Step 1: as `Flywheel` does it; where g is tempered it predicts a second time."""
        s, weights = self.state, self._weights_of(rows)
        found = self._of_given(rows)
        s.add_score(rows, found.score)
        calibrates = self._calibrates(partial(self._is_overconfident, found))
        gamma, s.temperature = s.gamma, 1.0
        if self._holds_gamma() or calibrates:
            gamma = em.main.clip_clean_rate(em.main.weighted_average(found.f_right.double(), weights))
        g_given = found.g_given
        if calibrates:
            s.temperature, g_given = self._tempered(rows, gamma)
        s.q[rows] = em.clean_posterior(g_given.double(), gamma, s.eps[rows])
        s.gamma = em.update_clean_rate(s.q[rows], weights)

    def _of_given(self, rows: Tensor) -> OfGiven:
        found = OfGiven.empty(len(rows), self.given.device)
        for at, log_g in self.loader.predict_parts(self.main, rows):
            index = rows[at]
            given, f_prob = self.given[index], self.state.f_prob[index].float()
            best, f_best = log_g.max(1), f_prob.argmax(1)
            found.score[at] = main_em.ranking_score(log_g, f_prob, given)
            found.g_given[at] = em.tempered_given(log_g, given, 1.0)
            found.confidence[at] = best.values.double().exp()
            found.agrees[at] = best.indices == f_best
            found.f_right[at] = f_best == given
        return found

    def _is_overconfident(self, found: OfGiven) -> bool:
        """That of `main_em`."""
        return float(found.confidence.mean() - found.agrees.double().mean()) > main_em.OVERCONFIDENT

    def _tempered(self, rows: Tensor, gamma: Tensor) -> tuple[float, Tensor]:
        """Temperature of g (see `em.calibrate`), and its probability of each given label at it (B,)."""
        table = torch.empty(len(TEMPERATURES), len(rows), device=self.given.device)
        for at, log_g in self.loader.predict_parts(self.main, rows):
            for of_rows, t in zip(table, TEMPERATURES, strict=True):
                of_rows[at] = em.tempered_given(log_g, self.given[rows[at]], t)
        eps, weights = self.state.eps[rows], self._weights_of(rows)
        best = likeliest([em.objective(row.to(eps.dtype), gamma, eps, sample_weight=weights) for row in table])
        return TEMPERATURES[best], table[best]

    # ---- f's prediction

    def _keep_prediction(self, trainer: Trainer, rows: Tensor) -> None:
        self._source = "plain"
        for at, log_p in self.loader.predict_parts(trainer, rows):
            self.state.f_prob[rows[at]] = log_p.exp().to(self.storage)

    def _keep_guess(self, rows: Tensor, align: bool) -> None:
        f_prob, views = self.state.f_prob, self.loader.views.guess
        self._source, self._source_aligned = self.loader.augment.get_state(), align
        for i, name in enumerate(views):
            for at, log_f in self.loader.predict_parts(self.aux, rows, None if name == "plain" else self.loader.weak):
                share = log_f.exp() / len(views)
                f_prob[rows[at]] = (share if i == 0 else f_prob[rows[at]].float() + share).to(self.storage)
        if align:
            self._align(rows)

    def _align(self, rows: Tensor) -> None:
        """As `auxiliary_em.aligned` does it."""
        f_prob, k = self.state.f_prob, self.n_classes
        mass = torch.zeros(k, dtype=torch.float64, device=f_prob.device)
        for block in self._blocks(rows):
            part, weights = f_prob[block].double(), self._weights_of(block)
            mass += part.sum(0) if weights is None else weights.double() @ part
        factors = em.share_factors(mass, class_counts(self.given[rows], k, self._weights_of(rows)))
        for block in self._blocks(rows):
            f_prob[block] = em.rescaled(f_prob[block].float(), factors).to(self.storage)

    # ---- sums over all rows

    def _matrices(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """T and T_c from sums over blocks: Eq. (11) is its corrupted part, and q at the given label."""
        s, k = self.state, self.n_classes
        corrupted = torch.zeros(k, k, dtype=torch.float64, device=self.given.device)  # rows = given class
        for block in self._blocks(rows):
            mass = (1 - s.q[block])[:, None] * s.f_prob[block].double()
            weights = self._weights_of(block)
            corrupted.index_add_(0, self.given[block], mass if weights is None else mass * weights[:, None])
        weights = self._weights_of(rows)
        clean = s.q[rows] if weights is None else s.q[rows] * weights
        refurbished = corrupted.T + torch.diag(class_counts(self.given[rows], k, clean))
        return row_normalised(refurbished), row_normalised(corrupted.T)

    def _history_of(self, rows: Tensor) -> dict[str, float]:
        classes = self._f_labels_of(rows)
        entropy = 0.0
        for block in self._blocks(rows):
            f_prob = self.state.f_prob[block].float()
            entropy -= float(torch.xlogy(f_prob, f_prob).sum())
        return {
            "agreement": float((classes == self.given[rows]).float().mean()),
            "max_class_share": float(class_counts(classes, self.n_classes).max()) / len(rows),
            "f_entropy": entropy / len(rows),
        }

    def _closing(self) -> Closing:
        """As `close_cycles`; block by block the refurbished labels take the place of f's prediction in memory."""
        s, every = self.state, torch.arange(len(self.given), device=self.given.device)
        T, T_c = self._matrices(every)
        posterior, predicted, confidence = torch.empty_like(s.q), torch.empty_like(s.given), torch.empty_like(s.q)
        for block in self._blocks(every):
            part = part_of(s, block)
            f_prob = part.f_prob.double()
            confidence[block], predicted[block] = f_prob.max(1)
            q_y = em.refurbish(part.q, part.given, f_prob)
            q_y /= q_y.sum(1, keepdim=True)
            posterior[block] = label_posterior(part, q_y, T)
            s.f_prob[block] = q_y.to(self.storage)
        quality = (s.quality_sum / s.n_scored.clamp_min(1)).clamp(0, 1)
        return Closing(predicted, confidence, s.f_prob, quality, posterior, T, T_c, float(s.gamma))

    def _blocks(self, rows: Tensor) -> Sequence[Tensor]:
        """Portions of the rows that hold at most `BLOCK` predicted numbers each."""
        return rows.split(max(1, BLOCK // self.n_classes))

    # ---- going back

    @property
    def _can_predict_again(self) -> bool:
        """Whether the nets that made ``f_prob`` are those of now, between two cycles."""
        return self.settings.cycle_size is None and self.settings.refurbish

    def state_dict(self) -> dict[str, Any]:
        """That of `Flywheel` without f's predictions where they can be made again."""
        f_prob = self.state.f_prob
        self.state.f_prob = f_prob[:0] if self._can_predict_again else f_prob
        try:
            return super().state_dict() | {"source": self._source, "source_aligned": self._source_aligned}
        finally:
            self.state.f_prob = f_prob

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go to where the flywheel was when `state_dict` was called; f predicts anew."""
        f_prob, self._source = self.state.f_prob, saved["source"]
        self._source_aligned = saved.get("source_aligned", False)
        super().load_state_dict(saved)
        if len(self.state.f_prob) > 0:  # they were saved
            return
        self.state.f_prob = f_prob
        if isinstance(self._source, str):
            self._keep_prediction(self.aux, self.all_rows)
        elif self._source is not None:
            now = self.loader.augment.get_state()
            self.loader.set_augment(self._source)
            self._keep_guess(self.all_rows, self._source_aligned)
            self.loader.augment.set_state(now)


def part_of(state: FlywheelState, rows: Tensor) -> FlywheelState:
    """The state of some rows, with f in float32."""
    names = ("given", "q", "eps", "y_hat", "quality_sum", "n_scored", "q_sum", "f_given_sum", "n_late")
    return replace(state, f_prob=state.f_prob[rows].float(), **{name: getattr(state, name)[rows] for name in names})
