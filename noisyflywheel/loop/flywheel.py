"""The loop of Figure 2: warm-up, then cycles of two E-steps, two M-steps and the resampling between them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.data import balanced_rows
from noisyflywheel.loop import auxiliary_em, main_em, warmup
from noisyflywheel.loop.closing import Closing, close_cycles
from noisyflywheel.loop.decide import Decision
from noisyflywheel.loop.history import Clock, history_row
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.loop.schedules import HOLD, cr_weight_of_cycle, learning_rate_share
from noisyflywheel.loop.state import FlywheelState, Settings
from noisyflywheel.nets.average import WeightAverage
from noisyflywheel.nets.features import make_head
from noisyflywheel.nets.trainer import Batch, Trainer


class Flywheel:
    """Two interlocked EM cycles over two nets (Sec. 3, Figure 2).

    The steps themselves are functions in `main_em` and `auxiliary_em`; here they are put in order, and what they return
    is put into the state.

    Parameters
    ----------
    main, aux : Trainer
        g and f. Without an auxiliary network (Eq. 7) both are the same trainer.
    loader : ViewLoader
        The rows and their views.
    given : Tensor of shape (N,), int64
        Given labels, 0..K-1.
    n_classes : int
        K.
    settings : Settings
        Validated parameters.
    sample_weight : Tensor of shape (N,), optional
        At least 0, of mean 1 over the rows above 0; the others take no part before `close`.
    """

    is_guarded = True
    n_rounds = 1
    """Rounds of cycles begun so far."""
    hold = HOLD
    """Share of the cycles of nets on vectors before their learning rate's cosine."""

    def __init__(
        self,
        main: Trainer,
        aux: Trainer,
        loader: ViewLoader,
        given: Tensor,
        n_classes: int,
        settings: Settings,
        sample_weight: Tensor | None = None,
    ) -> None:
        self.main, self.aux, self.loader = main, aux, loader
        self.trainers = [main] if main is aux else [main, aux]
        self.given, self.n_classes, self.sample_weight = given, n_classes, sample_weight
        self.settings = settings
        self.training_weights = sample_weight  # (N,), or (M, N) for the members of each net
        self.first_cycle, self.has_held_out = 0, False
        self.decisions: list[Decision] = []
        self.all_rows = rows_above_zero(given, sample_weight)
        self.state = FlywheelState.start(given, n_classes, 1.0 / n_classes, self._first_f_prob())
        self.head = self._projection_head()
        self._average_weights()

    # ---- Figure 2

    def cycle(self) -> dict[str, float]:
        """One turn of the flywheel; returns its row of the history."""
        return self.step_after_resampling(self.steps_to_resampling())

    def steps_to_resampling(self) -> dict[str, Any]:
        """Steps 1 to 4: both E-steps, f's M-step, the resampling; returns what is known of the cycle so far."""
        clock = Clock(self.main.device)
        self._schedule_learning_rates()
        rows = self._draw_rows()
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
        }
        rows = so_far["rows"]
        return figures | self._history_of(rows) | so_far["laps"] | clock.laps

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
            calibrate=self._calibrates(log_g, f_prob),
            sample_weight=self._weights_of(rows),
        )
        s.q[rows], s.gamma, s.temperature = found

    def _e_step_auxiliary(self, rows: Tensor) -> None:
        """Step 2: f's guess of the true class (Eq. 11).

        Where every row takes part in every cycle it is the guess of the last step 4: f has not changed since.
        """
        known = self.settings.cycle_size is None and self.state.cycle > 0
        if self.settings.refurbish and not known:
            self.state.f_prob[rows] = auxiliary_em.e_step(self.aux, self.loader, rows, self.n_classes)

    def _m_step_auxiliary(self, rows: Tensor) -> float:
        """Step 3: train f on the refurbished labels (Eq. 13); T and T_c in closed form."""
        s, settings = self.state, self.settings
        if not settings.refurbish:
            return float("nan")
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
        s, given = self.state, self.given[rows]
        if self.settings.refurbish:
            s.f_prob[rows] = auxiliary_em.e_step(self.aux, self.loader, rows, self.n_classes)
            s.y_hat[rows] = auxiliary_em.resample(s.q[rows], given, s.f_prob[rows], self.settings.resample)
            if self.settings.noise_model == "class":
                s.eps[rows] = em.error_probability(s.f_prob[rows], s.corruption, given).double()
        else:
            s.f_prob[rows] = self.loader.predict(self.main, rows).exp()
        if s.cycle - self.first_cycle >= self.settings.n_cycles // 2:
            s.add_posterior(rows, given)

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
        if len(every) > len(self.all_rows):
            self._join_rows(every[~torch.isin(every, self.all_rows)])
        self._closing_e_step(predicts, every)
        for trainer in self.trainers:
            if trainer.average is not None:
                trainer.average.copy_to_module()
        return self._closing()

    def _closing_e_step(self, predicts: Trainer, every: Tensor) -> None:
        self._e_step_main(every)
        self.state.f_prob = self.loader.predict(predicts, every).exp()

    def _closing(self) -> Closing:
        return close_cycles(self.state, self.sample_weight)

    def _join_rows(self, rows: Tensor) -> None:
        """f's guess and eps (Eq. 14) of rows that took no part."""
        s = self.state
        s.f_prob[rows] = auxiliary_em.e_step(self.aux, self.loader, rows, self.n_classes)
        if self.settings.refurbish and self.settings.noise_model == "class":
            s.eps[rows] = em.error_probability(s.f_prob[rows], s.corruption, self.given[rows]).double()

    # ---- before the cycles

    @property
    def n_epochs_at_most(self) -> int:
        """Length of the warm-up, if nothing ends it earlier."""
        return warmup.MAX_EPOCHS

    def warm_up_epoch(self, held_out: list[Tensor] | None = None) -> float:
        """Each net on the given labels of a cycle's rows, plain cross-entropy on weak views; returns f's mean loss.

        ``held_out`` has for each trainer the rows that it leaves out.
        """
        loss = 0.0
        for i, trainer in enumerate(self.trainers):
            rows = self._draw_rows()
            if held_out:
                rows = rows[~torch.isin(rows, held_out[i])]
            loss = trainer.epoch(self.warm_up_steps(trainer, rows))
        return loss

    def warm_up_steps(self, trainer: Trainer, rows: Tensor) -> Iterator[Batch]:
        """Weak views against the given labels (Sec. 4.1, Initialization)."""
        for index, x in self.loader.batches(rows, trainer.net.batch_size, self.loader.weak):
            labels, w = self.given[index], self.training_weights
            w = None if w is None else w[..., index].float()
            loss = partial(trainer.warm_up_loss, target=labels, sample_weight=w)
            yield Batch(x, labels, loss, sizes=self.loader.sizes(len(index)))

    def hold_out(self) -> list[Tensor] | None:
        """Rows that each net leaves out of the warm-up; None where there are too few rows."""
        parts = warmup.hold_out(len(self.all_rows), len(self.trainers), self.loader.order)
        return None if parts is None else [self.all_rows[part.to(self.given.device)] for part in parts]

    def warm_up_is_over(self, records: list[Tensor]) -> bool:
        """Whether what the nets learn has stopped carrying over to the rows they leave out."""
        return warmup.is_over(records)

    def held_out_record(self, held_out: list[Tensor], earlier: list[Tensor]) -> Tensor:
        """Whether each net predicts the given labels of the rows it left out: bool, (m,)."""
        parts = zip(self.trainers, held_out, strict=True)
        return torch.cat([self.loader.predict(t, rows).argmax(1) == self.given[rows] for t, rows in parts])

    def start_cycles(self) -> None:
        """gamma = training accuracy of f after warm-up, eps = 1/K (Sec. 4.1, Initialization)."""
        rows = self.all_rows
        f_prob = self.loader.predict(self.aux, rows).exp()
        right = (f_prob.argmax(1) == self.given[rows]).float()
        gamma = float(em.main.weighted_average(right, self._weights_of(rows)))
        self.state = FlywheelState.start(self.given, self.n_classes, gamma)
        self.state.gamma = em.main.clip_clean_rate(self.state.gamma)
        self.state.f_prob[rows] = f_prob

    # ---- plans

    def cr_weight(self) -> float:
        """lambda of this cycle."""
        return cr_weight_of_cycle(self.state.cycle, self.settings.cr_weight, self.settings.cr_ramp)

    def _schedule_learning_rates(self) -> None:
        """Cosine annealing over all cycles, those of an earlier fit that this one continues included."""
        in_all = self.first_cycle + self.settings.n_cycles
        share = learning_rate_share(self.state.cycle, in_all, self.hold if self.loader.vectors else 0.0)
        for trainer in self.trainers:
            trainer.scale_lr(share)

    def _draw_rows(self) -> Tensor:
        """The rows of this cycle: all, or ``cycle_size`` class-balanced ones."""
        size = self.settings.cycle_size
        if size is None:
            return self.all_rows
        return self.all_rows[balanced_rows(self.given[self.all_rows], self.n_classes, size, self.loader.order)]

    def _holds_gamma(self) -> bool:
        """Whether gamma is still the agreement of f with the given labels, as after the warm-up (Sec. 4.1).

        Until the regularizer has its weight g explains wrong labels nearly as well as right ones, above all those that
        depend on the class, and the mean of q runs to 1: the trivial solution of Sec. 3.1.
        """
        settings = self.settings
        return settings.calibrate == "auto" and settings.refurbish and self.state.cycle < settings.cr_ramp

    def _calibrates(self, log_g: Tensor, f_prob: Tensor) -> bool:
        """Whether g is tempered: always, never, or where it is surer than its agreement with f warrants.

        Nets whose weights are averaged are compared from the first cycle on; others sway, and with them their
        agreement, until the regularizer has its weight.
        """
        if self.settings.calibrate != "auto":
            return bool(self.settings.calibrate)
        return self._has_settled() and main_em.is_overconfident(log_g, f_prob)

    def _has_settled(self) -> bool:
        """Whether "auto" may temper g in this cycle."""
        settings = self.settings
        settled = settings.average_epochs > 0 or self.state.cycle - self.first_cycle >= settings.cr_ramp
        return settings.refurbish and settled

    def _weights_of(self, rows: Tensor) -> Tensor | None:
        return None if self.sample_weight is None else self.sample_weight[rows]

    # ---- rounds

    @property
    def n_cycles_of_round(self) -> int:
        """Cycles of the last round."""
        return self.settings.n_cycles

    def undo_round(self) -> bool:
        """After the last cycle of a round: go back to the round before, if that was better; whether it was."""
        return False

    def begin_round(self) -> bool:
        """After the last cycle of a round: whether another round is worth it; it begins then."""
        return False

    # ---- parts

    def _first_f_prob(self) -> Tensor | None:
        """Where the predictions of f are kept: (N, K); None is float32."""
        return None

    def f_labels(self) -> Tensor:
        """f's most likely class of each row that takes part: (B,)."""
        return self.state.f_prob[self.all_rows].argmax(1)

    def _projection_head(self) -> torch.nn.Module | None:
        """The head of the contrastive loss, trained by f's optimizer; None where there is no such loss."""
        settings, aux = self.settings, self.aux
        if not (settings.refurbish and settings.contrastive_weight > 0 and aux.features.available):
            return None
        head = make_head(aux.features, self.loader.plain(self.loader.source.take(self.all_rows[:2])), aux.device)
        aux.add_module(head)
        return head

    def _average_weights(self) -> None:
        """Start the moving averages of the nets' weights, over ``average_epochs``."""
        if self.settings.average_epochs <= 0:
            return
        for trainer in self.trainers:
            steps = max(1.0, len(self.given) / max(1, trainer.net.batch_size))
            trainer.average = WeightAverage(trainer.net.module_, self.settings.average_epochs * steps)

    def state_dict(self) -> dict[str, Any]:
        """Nets, optimizers, learning rates, EM state and random states, copied, as nested plain values and tensors."""
        saved: dict[str, Any] = {
            "state": self.state.state_dict(),
            "head": None if self.head is None else copy.deepcopy(self.head.state_dict()),
            "nets": [trainer.state_dict() for trainer in self.trainers],
            "global": torch.get_rng_state(),
        }
        if self.main.device.type == "cuda":
            saved["cuda"] = torch.cuda.get_rng_state(self.main.device)
        return saved | self.loader.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go to where the flywheel was when `state_dict` was called, on it or on one built the same way."""
        self.state.load_state_dict(saved["state"])
        self.loader.load_state_dict(saved)
        torch.set_rng_state(saved["global"])
        if "cuda" in saved and self.main.device.type == "cuda":
            torch.cuda.set_rng_state(saved["cuda"], self.main.device)
        if self.head is not None and saved["head"] is not None:
            self.head.load_state_dict(saved["head"])
        for trainer, own in zip(self.trainers, saved["nets"], strict=True):
            trainer.load_state_dict(own)

    def go_on_from(self, saved: dict[str, Any]) -> None:
        """Begin where another fit ended: ``saved`` is its `state_dict`."""
        self.load_state_dict(saved)
        self.first_cycle = self.state.cycle


def rows_above_zero(given: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Indices of the rows that take part, on the device of ``given`` (N,): int64."""
    if sample_weight is None:
        return torch.arange(len(given), device=given.device)
    return sample_weight.nonzero().squeeze(1)
