"""What a flywheel with folds has beside its other parts: the folds, columns weighed for each member, unseen rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noisyflywheel.backbones.trees import N_TREES, Trees
from noisyflywheel.em.some_rows import some_rows
from noisyflywheel.loop.closing import ranked_with
from noisyflywheel.loop.decisions.decide import Decision
from noisyflywheel.loop.folds import Folds
from noisyflywheel.loop.parts import FlywheelParts
from noisyflywheel.loop.with_folds.columns import JUDGED_ROWS, weigh_columns
from noisyflywheel.loop.with_folds.forests import forests_of_members, forests_of_refurbished, weigh_forests
from noisyflywheel.loop.with_folds.rounds import Rounds
from noisyflywheel.nets.trainer import Trainer


class FoldedParts(FlywheelParts):
    """Parts of a `noisyflywheel.loop.with_folds.out_of_fold.OutOfFoldFlywheel`, whose nets are stacks of members."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.n_warm_up_epochs, self.learnt_epochs = 0, 0.0  # the latter of f, see `OutOfFoldFlywheel`
        self.rounds = Rounds()
        module: Any = self.main.net.module_
        drawn = Folds.draw(self.given, self.all_rows, module.n_folds, len(module.families), self.loader.order)
        self._set_folds(drawn)
        self.weighed = self._weigh_columns()

    def _set_folds(self, folds: Folds) -> None:
        """Train each member on the rows outside its own fold."""
        self.folds, weights = folds, folds.trains
        self.training_weights = weights if self.sample_weight is None else weights * self.sample_weight.float()
        self.judged_rows = self.all_rows[some_rows(len(self.all_rows), self.all_rows.device)]
        is_all = len(self.judged_rows) == len(self.all_rows)
        self.judged_folds = folds if is_all else folds.thinned(self.judged_rows)

    def _weigh_columns(self) -> Decision:
        """Weigh the columns for each member, by the labels that it trains on."""
        module: Any = self.main.net.module_
        weights: Any = self.training_weights
        rows = self.all_rows[some_rows(len(self.all_rows), self.all_rows.device, JUDGED_ROWS)]
        x = self.loader.plain(self.loader.source.take(rows))
        columns, decision = weigh_columns(x, module.scale(x), self.given[rows], weights[:, rows], module.n_folds)
        for trainer in self.trainers:
            trainer.net.module_.weigh(columns)
        return decision

    def state_dict(self) -> dict[str, Any]:
        """That of `FlywheelParts`, the folds, how long the nets learnt, and the rounds."""
        return self._state_of_round() | {"rounds": self.rounds.state_dict()}

    def _state_of_round(self) -> dict[str, Any]:
        """`state_dict` but for the rounds."""
        learnt = {"n_warm_up_epochs": self.n_warm_up_epochs, "learnt_epochs": self.learnt_epochs}
        return super().state_dict() | {"fold": self.folds.fold.clone(), "weighed": self.weighed._asdict()} | learnt

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go to where the flywheel was when `state_dict` was called."""
        super().load_state_dict(saved)
        self.n_warm_up_epochs, self.learnt_epochs = saved["n_warm_up_epochs"], saved["learnt_epochs"]
        self._set_folds(Folds(saved["fold"].to(self.given.device), self.folds.n_folds))
        if "weighed" in saved:
            self.weighed = Decision(**saved["weighed"])
        if "rounds" in saved:
            self.rounds.load_state_dict(saved["rounds"])

    def go_on_from(self, saved: dict[str, Any]) -> None:
        """That of `FlywheelParts`, with rounds of its own."""
        super().go_on_from(saved)
        self.rounds = Rounds()

    # ---- unseen rows

    def _guess(self) -> Tensor:
        """f's prediction of every row by members that have not seen it: (N, K)."""
        return self._unseen(self.aux).mean(0)

    def _early_guess(self) -> Tensor:
        """That of the members kept from the warm-up, of both nets: (N, K)."""
        return self._unseen(self.aux, kept=True).mean(0)

    def _early_guess_with_forests(self) -> tuple[Tensor, list[Decision]]:
        """`_early_guess`, with forests beside these members as far as they agree better with labels of unseen rows.

        They are not asked where the length of the warm-up was.
        """
        module: Any = self.aux.net.module_
        module.mix_in_trees(Trees(self.n_classes), 0.0)
        early = self._early_guess()
        if self.are_many_rows or self.settings.n_warmup_epochs != "auto":
            return early, []
        weights: Any = self.training_weights
        trees, prob = forests_of_members(self._plain_rows(), self.given, weights, self.n_classes)
        prob, rows = prob.to(early), self.all_rows
        decision = weigh_forests(prob[rows], early[rows], self.given[rows])
        if decision.share:
            module.mix_in_trees(trees, decision.share)
        return torch.lerp(early, prob, decision.share), [decision]

    def _ranked_with_forests(self, quality: Tensor, refurbished: Tensor) -> Tensor:
        """A ranking score (N,) in which forests of the refurbished labels (N, K) have a say; one for each fold."""
        if self.are_many_rows:
            return quality
        weights: Any = self.training_weights
        prob = forests_of_refurbished(self._plain_rows(), refurbished, weights[-self.folds.n_folds :])
        said = prob.to(quality.device).gather(1, self.given[:, None]).squeeze(1)
        return ranked_with(quality, said, N_TREES)

    def _unseen(self, trainer: Trainer, kept: bool = False) -> Tensor:
        """Probabilities of every row by members that have not seen it: (families, N, K)."""
        found = self.loader.predict_unseen(trainer, self.folds, kept)
        if len(self.all_rows) < len(self.given):  # no member has seen the others
            every = torch.arange(len(self.given), device=self.given.device)
            outside = every[~torch.isin(every, self.all_rows)]
            found[:, outside] = self._of_all(trainer, outside, kept)
        return found

    def _of_all(self, trainer: Trainer, rows: Tensor, kept: bool) -> Tensor:
        """Probabilities of some rows (n,) by all members together, or by all kept ones: (n, K)."""
        module: Any = trainer.net.module_
        with module.alone(kept):
            return self.loader.predict(trainer, rows).exp()
