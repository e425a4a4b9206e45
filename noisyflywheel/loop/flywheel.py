"""The loop of Figure 2: warm-up, then cycles of two E-steps, two M-steps and the resampling between them."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.loop import auxiliary_em, main_em
from noisyflywheel.loop.closing import Closing, close_cycles, ranked_with
from noisyflywheel.loop.decisions.second_start import rival_frequency
from noisyflywheel.loop.neighbours import n_neighbours, said_by_neighbours
from noisyflywheel.loop.state import FlywheelState
from noisyflywheel.loop.warmup_steps import WarmUpSteps
from noisyflywheel.loop.watch.history import Clock, history_row
from noisyflywheel.nets.trainer import Trainer


class Flywheel(WarmUpSteps):
    """Two interlocked EM cycles over two nets (Sec. 3, Figure 2); parameters and attributes as of `FlywheelParts`.

    The steps themselves are functions in `main_em` and `auxiliary_em`; here they are put in order, and what they return
    is put into the state. What is done before the cycles is in `WarmUpSteps`, what changes by plan in `FlywheelPlans`.
    """

    resample_dtype = torch.float64
    """Precision of Eq. (11) in the resampling."""

    # ---- Figure 2

    def cycle(self) -> dict[str, float]:
        """One turn of the flywheel; returns its row of the history."""
        return self.step_after_resampling(self.steps_to_resampling())

    def steps_to_resampling(self) -> dict[str, Any]:
        """Steps 1 to 4: both E-steps, f's M-step, the resampling; returns what is known of the cycle so far."""
        clock = Clock(self.main.device)
        self._start_again_if_due()
        self._schedule_learning_rates()
        self._set_view_strength()
        rows = self._draw_rows(self.all_rows)
        self._e_step_main(rows)
        clock.lap("main_e_seconds")
        self._e_step_auxiliary(rows)
        clock.lap("auxiliary_e_seconds")
        aux_loss = self._m_step_auxiliary(rows)
        clock.lap("auxiliary_m_seconds")
        self._resample(rows)
        clock.lap("resample_seconds")
        return {"rows": rows, "auxiliary_loss": aux_loss, "laps": clock.laps}

    def step_after_resampling(self, so_far: dict[str, Any]) -> dict[str, float]:
        """Step 5: g's M-step; returns the cycle's row of the history."""
        clock = Clock(self.main.device)
        main_loss = self._m_step_main(so_far["rows"])
        clock.lap("main_m_seconds")
        self.state.cycle += 1
        figures = {
            "cycle": self.state.cycle,
            "gamma": float(self.state.gamma),
            "auxiliary_loss": so_far["auxiliary_loss"],
            "main_loss": main_loss,
            "cr_weight": self.cr_weight(),
            "temperature": self.state.temperature,
            "view_strength": self.state.view_strength,
        }
        figures |= self._history_of(so_far["rows"])
        self.state.agreement = figures["agreement"]
        return figures | so_far["laps"] | clock.laps

    def _history_of(self, rows: Tensor) -> dict[str, float]:
        """Figures of f's prediction."""
        return history_row(self.state.f_prob[rows], self.given[rows])

    def _e_step_main(self, rows: Tensor) -> None:
        """Step 1: which labels are clean (Eq. 4), with g on the rows as they are; gamma (Eq. 6); the ranking score."""
        s, given = self.state, self.given[rows]
        log_g, f_prob = self.loader.predict(self.main, rows), s.f_prob[rows]
        s.add_score(rows, main_em.ranking_score(log_g, f_prob, given))
        found = main_em.e_step(
            log_g,
            f_prob,
            given,
            s.gamma,
            s.eps[rows],
            hold_gamma=self._holds_gamma(),
            calibrate=self._calibrates(partial(main_em.is_overconfident, log_g, f_prob)),
            sample_weight=self._weights_of(rows),
        )
        s.q[rows], s.gamma, s.temperature = found

    def _e_step_auxiliary(self, rows: Tensor) -> None:
        """Step 2: f's guess of the true class (Eq. 11).

        Where every row takes part in every cycle it is the guess of the last step 4: f has not changed since. After a
        second start it is what `start_cycles` kept, the prediction of rows as they are.
        """
        known = self.settings.cycle_size is None and self.state.cycle > 0
        if self.settings.refurbish and not known:
            self._keep_guess(rows, self._aligns)

    def _m_step_auxiliary(self, rows: Tensor) -> float:
        """Step 3: train f on the refurbished labels (Eq. 13); T and T_c in closed form."""
        s, settings = self.state, self.settings
        if not settings.refurbish:
            return float("nan")
        if not self.second_start.keeps_matrices(s.cycle, settings.cr_ramp):
            s.transition, s.corruption = self._matrices(rows)
        return auxiliary_em.m_step(
            self.aux,
            self.loader,
            rows,
            self.given,
            auxiliary_em.mixture_target(self.given, s.q, s.f_prob, settings.sharpen_temperature),
            mixup_alpha=settings.mixup_alpha,
            head=self.head,
            contrastive_weight=settings.contrastive_weight,
            sample_weight=self.training_weights,
        )

    def _matrices(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """T and T_c (Sec. 3.3)."""
        s = self.state
        return auxiliary_em.matrices(s.q[rows], s.f_prob[rows], self.given[rows], self._weights_of(rows))

    def _resample(self, rows: Tensor) -> None:
        """Step 4: resampled labels y^ and corruption probabilities (Eq. 14), with the updated f."""
        s, settings = self.state, self.settings
        if settings.refurbish:
            self._keep_guess(rows, self._aligns)
            for block in self._blocks(rows):
                q, f_prob = s.q[block].to(self.resample_dtype), s.f_prob[block].float()
                s.y_hat[block] = auxiliary_em.resample(q, self.given[block], f_prob, settings.resample)
            self._set_eps(rows)
        else:
            self._keep_prediction(self.main, rows)
        if self.n_since_start >= (settings.n_cycles - self.second_start.at) // 2:
            s.add_posterior(rows, self.given[rows])

    def _set_eps(self, rows: Tensor) -> None:
        """eps (Eq. 14) by f's prediction and T_c; 1/K stays where the noise model is uniform."""
        s = self.state
        if self.settings.noise_model == "class":
            for block in self._blocks(rows):
                s.eps[block] = em.error_probability(s.f_prob[block].float(), s.corruption, self.given[block]).double()

    def _m_step_main(self, rows: Tensor) -> float:
        """Step 5: train g on the resampled labels with the confidence regularizer (Eq. 8), or on Eq. (7)."""
        s, refurbish = self.state, self.settings.refurbish
        target = (s.y_hat if refurbish else self.given)[rows]
        limit, weights = self.settings.guard, self._weights_of(rows)
        regularizer = main_em.regularizer(target, self.n_classes, self.cr_weight(), limit, weights)
        parts = (self.main, self.loader, rows, self.given)
        if refurbish:
            return main_em.m_step(*parts, s.y_hat, regularizer, self.training_weights)
        return main_em.m_step_without_auxiliary(*parts, s.q, regularizer, self.training_weights)

    def close(self) -> Closing:
        """The closing E-step (Eqs. 4, 11) on every row: q with the last g, f unsharpened on the rows as they are."""
        every = torch.arange(len(self.given), device=self.given.device)
        predicts = self.aux if self.settings.refurbish else self.main
        stale = every if self.settings.cycle_size is not None else every[~torch.isin(every, self.all_rows)]
        if len(stale):
            self._join_rows(stale)
        self._e_step_main(every)
        self._keep_prediction(predicts, every)
        for trainer in self.trainers:
            if trainer.average is not None:
                trainer.average.copy_to_module()
        self._record_decisions()
        return self._ranked_with_neighbours(self._closing())

    def _ranked_with_neighbours(self, end: Closing) -> Closing:
        """An end in whose ranking score the neighbours of vectors have a say; not with ``calibrate=False``."""
        is_asked = self.loader.vectors and self.settings.calibrate is not False and self.settings.refurbish
        if not is_asked or self.are_many_rows:
            return end
        said = said_by_neighbours(self._plain_rows(), end.refurbished, self.given, self.all_rows)
        return end._replace(quality=ranked_with(end.quality, said, n_neighbours(len(self.all_rows))))

    def _closing(self) -> Closing:
        return close_cycles(self.state, self.sample_weight)

    def _join_rows(self, rows: Tensor) -> None:
        """f's guess and eps (Eq. 14) of rows that took no part in the last cycle, for the closing E-step."""
        self._keep_guess(rows, align=False)
        if self.settings.refurbish:
            self._set_eps(rows)

    # ---- f's prediction

    def _keep_guess(self, rows: Tensor, align: bool) -> None:
        """Keep f's guess of the true class in the state, with ``align`` rescaled by `auxiliary_em.aligned`."""
        guess = auxiliary_em.e_step(self.aux, self.loader, rows, self.n_classes)
        if align:
            guess = auxiliary_em.aligned(guess, self.given[rows], self._weights_of(rows))
        self.state.f_prob[rows] = guess

    def _keep_prediction(self, trainer: Trainer, rows: Tensor) -> None:
        """Keep a net's prediction of the rows as they are, without augmentation, in the place of f's guess."""
        self.state.f_prob[rows] = self.loader.predict(trainer, rows).exp()

    # ---- before the cycles

    def start_cycles(self) -> None:
        """gamma = training accuracy of f after warm-up, eps = 1/K (Sec. 4.1, Initialization)."""
        rows = self.all_rows
        self._keep_prediction(self.aux, rows)
        right = (self.f_labels() == self.given[rows]).float()
        gamma = float(em.main.weighted_average(right, self._weights_of(rows)))
        self.state = FlywheelState.start(self.given, self.n_classes, gamma, self.state.f_prob)
        self.state.gamma = em.main.clip_clean_rate(self.state.gamma)
        if (unseen := self._strength_reference()) is not None:
            self.state.view_strength = self.loader.views.strength = unseen.first
        self.second_start.remember(self.state_dict)

    def _start_again_if_due(self) -> None:
        """From the nets of the warm-up, with T_c of the cycles so far, where that is worth it (`SecondStart`)."""
        s, second, rows = self.state, self.second_start, self.all_rows
        if not second.is_due(s.cycle):
            return
        found = partial(rival_frequency, s.transition, s.y_hat[rows], self._weights_of(rows))
        beginning = second.decide(self.loader.ranks.of_first(found))
        if beginning is not None:
            known = s.transition, s.corruption
            self.go_back_to(beginning | {"second_start": second.begun(s.cycle)})
            s.transition, s.corruption = known
            self._set_eps(rows)
