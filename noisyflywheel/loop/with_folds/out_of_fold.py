"""The flywheel whose E-steps ask, for each row, members of the nets that have not seen it.

A net that has learnt wrong labels by heart gives them a clean probability near 1; on small data that is what the
warm-up ends with, and the cycles then confirm it. Here f and g are stacks of members
(`noisyflywheel.backbones.FoldedMLP`), each trained without its own fold of the rows, as the trees of a forest are
without their out-of-bag rows. Every E-step, the end of the warm-up and the question whether the cycles earned their
turn are answered by unseen rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.em.division import scaled
from noisyflywheel.loop import auxiliary_em
from noisyflywheel.loop.closing import Closing, close_unseen, mixed
from noisyflywheel.loop.decisions.decide import Decision, compare
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.schedules import learning_rate_share
from noisyflywheel.loop.state import FlywheelState
from noisyflywheel.loop.with_folds import folded_warmup
from noisyflywheel.loop.with_folds.folded_parts import FoldedParts

MOST_RATE = 5.0
"""Highest learning rate in the cycles, as a multiple of the nets' own."""


class OutOfFoldFlywheel(FoldedParts, Flywheel):
    """Two interlocked EM cycles over two stacks of members; parameters as of `Flywheel`."""

    is_guarded = False  # what the cycles did is weighed at the end

    # ---- warm-up

    @property
    def n_epochs_at_most(self) -> int:
        """Length of the warm-up, if nothing ends it earlier."""
        return folded_warmup.n_epochs_at_most(len(self.all_rows), self.aux.net.batch_size)

    def warm_up_epoch(self, held_out: list[Tensor] | None = None) -> float:
        """That of `Flywheel`, at this epoch's rate."""
        rate = folded_warmup.rate_of(self.n_warm_up_epochs)
        for trainer in self.trainers:
            trainer.scale_lr(rate)
        self.n_warm_up_epochs += 1
        self.learnt_epochs += rate
        return super().warm_up_epoch(held_out)

    def hold_out(self) -> list[Tensor]:
        """No rows beside the members' own folds."""
        return []

    def held_out_record(self, held_out: list[Tensor]) -> Tensor:
        """Mean loss of given labels of unseen rows, of up to `MANY_ROWS`, for each net and family: (nets, families)."""
        given = self.given[self.judged_rows]
        losses = []
        for trainer in self.trainers:
            prob = self.loader.predict_unseen(trainer, self.judged_folds)[:, self.judged_rows]
            losses.append(folded_warmup.losses_of_families(prob, given))
        return torch.tensor(losses)

    def keep_best(self, records: list[Tensor]) -> None:
        """Keep members whose loss, over two epochs, is the least so far.

        ``learnt_epochs`` is how long f learnt up to these, in epochs at the nets' own rate, the mean over the families.
        """
        best = folded_warmup.best_epochs(records)  # (nets, families)
        self.learnt_epochs = folded_warmup.epochs_learnt(best[-1])
        for trainer, keeps in zip(self.trainers, (best == len(records) - 1).tolist(), strict=True):
            for family in [i for i, keep in enumerate(keeps) if keep]:
                trainer.net.module_.keep(family)

    def warm_up_is_over(self, records: list[Tensor]) -> bool:
        """Whether no net's and no family's loss has become better in the last ``PATIENCE`` epochs."""
        return folded_warmup.is_over(records)

    def start_cycles(self) -> None:
        """From the best members of the warm-up: gamma is their agreement with unseen labels, eps as of `_explain`."""
        for trainer in self.trainers:
            module: Any = trainer.net.module_
            if not self.has_held_out:
                for family in range(len(module.families)):
                    module.keep(family)
            module.go_back_to_kept()
        aux: Any = self.aux.net.module_
        aux.keep_of(self.main.net.module_)
        f_prob, rows = self._guess(), self.all_rows
        gamma = float(em.agreement(f_prob[rows], self.given[rows], self._weights_of(rows)))
        self.state = FlywheelState.start(self.given, self.n_classes, gamma)
        self.state.f_prob = f_prob
        self._explain(rows)

    def _explain(self, rows: Tensor) -> None:
        """The first guess of the true classes and the first eps (Eq. 14), from the warm-up's out-of-fold predictions.

        Members trained on the given labels predict given labels, errors that depend on the class included. With
        ``eps = 1/K`` no gamma and no temperature would explain such errors as corrupted labels: q would stay near 1
        everywhere, and the cycles would confirm them.
        """
        s, given = self.state, self.given[rows]
        refurbished, _, guess = em.averaged_posterior(s.f_prob[rows], given, self._weights_of(rows))
        s.f_prob[rows] = guess.to(s.f_prob.dtype)
        if self.settings.noise_model == "class":
            s.q[rows] = refurbished.gather(1, given[:, None]).squeeze(1)
            _, s.corruption = self._matrices(rows)
            self._set_eps(rows)

    # ---- Figure 2

    def _schedule_learning_rates(self) -> None:
        """A cosine over the cycles of a round whose rates add up to the epochs in which f's warm-up still got better.

        If the loss on unseen rows went on falling for many epochs, nets bear and need many steps in the cycles too. If
        a few epochs were too many already, as many again would only confirm what was memorised. Without a warm-up the
        rate begins as the nets' own.
        """
        earlier = self.first_cycle  # cycles of earlier fits, that the first round goes on from
        learnt = self.learnt_epochs / (earlier + self.settings.n_cycles)
        rate = min(MOST_RATE, 2 * learnt) if learnt > 0 else 1.0
        in_all = self.n_cycles_of_round + (earlier if self.n_rounds == 1 else 0)
        share = learning_rate_share(self.state.cycle - self.rounds.start, in_all, hold=0.0)
        for trainer in self.trainers:
            trainer.scale_lr(rate * share)

    def _e_step_main(self, rows: Tensor) -> None:
        """Step 1: Eqs. (4) and (6); g's temperature and gamma make the labels of unseen rows most likely."""
        s, given = self.state, self.given[rows]
        log_g = self._unseen(self.main).mean(0)[rows].clamp_min(1e-30).log()
        s.temperature, gamma = em.calibrate_with_clean_rate(log_g, given, s.eps[rows], self._weights_of(rows))
        s.gamma = torch.full((), gamma, dtype=torch.float64, device=given.device)
        g_given = em.tempered_given(log_g, given, s.temperature).double()
        s.q[rows] = em.clean_posterior(g_given, s.gamma, s.eps[rows])

    def _e_step_auxiliary(self, rows: Tensor) -> None:
        """Step 2: f's guess is that of the last step 4, or of the end of the warm-up."""

    def _m_step_auxiliary(self, rows: Tensor) -> float:
        """Step 3: T and T_c in closed form; train f on its posterior through T (Eq. 12) of unseen rows."""
        s = self.state
        s.transition, s.corruption = self._matrices(rows)

        def target(index: Tensor) -> Tensor:
            return em.posterior_through(s.f_prob[index], s.transition, self.given[index])

        return auxiliary_em.m_step(self.aux, self.loader, rows, self.given, target, sample_weight=self.training_weights)

    def _resample(self, rows: Tensor) -> None:
        """Step 4: y^ and eps (Eq. 14) with the updated f, on unseen rows."""
        s = self.state
        s.f_prob = self._guess()
        s.y_hat[rows] = auxiliary_em.resample(s.q[rows], self.given[rows], s.f_prob[rows], self.settings.resample)
        self._set_eps(rows)

    # ---- rounds

    @property
    def n_rounds(self) -> int:
        """Rounds of cycles begun so far."""
        return self.rounds.n

    @property
    def n_cycles_of_round(self) -> int:
        """Cycles of the last round."""
        return self.rounds.length(self.settings.n_cycles)

    def undo_round(self) -> bool:
        """Back to the nets and labels before a round that agrees less with labels of unseen rows; whether it does."""
        if self.settings.n_rounds == 1:
            return False
        rows, earlier = self.all_rows, self.rounds.before
        f_prob = self._early_guess() if earlier is None else earlier["state"]["f_prob"].to(self.given.device)
        self.rounds.compare(self.state.f_prob[rows], f_prob[rows], self.given[rows])
        if earlier is None or not self.rounds.last_was_worse:
            return False
        self.go_back_to(earlier)
        self.rounds.before = None
        return True

    def begin_round(self) -> bool:
        """Whether the last round won so many labels of unseen rows that another one is worth it; it begins then."""
        self.rounds.before = None
        if self.n_rounds == self.settings.n_rounds or not self.rounds.last_was_worth_it:
            return False
        self.rounds.begin(self._state_of_round())
        return True

    def close(self) -> Closing:
        """Weigh the cycles against the warm-up, both judged by labels of unseen rows, and mix what they found.

        The members of the warm-up were trained on the given labels and predict them. So the T that explains the labels
        of unseen rows is divided out of what they say, and to be compared with them what the cycles say goes through
        it. The cycles replace them in prediction where they agree clearly better. In judging labels both count half
        where they agree equally: where classes are easy to tell apart no agreement is left to win, but only the cycles
        know which class is labelled as which. What both predict together is made flatter where it is too sure. Forests
        of the refurbished labels have a say in the order of the labels.
        """
        aux: Any = self.aux.net.module_
        f_prob, early, forests = self._guess(), *self._early_guess_with_forests()
        rows = self.all_rows
        judged = (self.given, self.state.corruption, self.sample_weight)
        before, after = close_unseen(early, *judged), close_unseen(f_prob, *judged, of_refurbished=True)
        both = (before.labelled(f_prob[rows]), early[rows], self.given[rows])
        prediction = compare("prediction", "cycles", "warm-up", *both)
        labels = compare("labels", "cycles", "warm-up", *both, needs=0.0)
        aux.mix_in_kept(1 - prediction.share, before.division)
        together = torch.lerp(aux.of_kept(early), f_prob, prediction.share)
        found = mixed(after, before, labels.share, together)
        flat = em.flattening(together[rows], self.given[rows], found.transition, self._weights_of(rows))
        sure = Decision("temperature of predictions", f"{flat:.3g}", "likelihood of labels of unseen rows, through T")
        self.decisions.extend([self.weighed, *self.rounds.decisions, *forests, prediction, sure, labels])
        aux.temperature.fill_(flat)
        quality = self._ranked_with_forests(found.quality, found.refurbished)
        return found._replace(confidence=scaled(together, flat).amax(1), quality=quality)
