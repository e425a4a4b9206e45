"""The loop of Figure 2: warm-up, then cycles of two E-steps, two M-steps and the resampling between them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.data import Source, balanced_rows
from noisyflywheel.loop.batching import auxiliary_batches, main_batches, warm_up_batches
from noisyflywheel.loop.history import Clock, history_row
from noisyflywheel.loop.main_em import main_e_step
from noisyflywheel.loop.state import FlywheelState, Settings
from noisyflywheel.nets.average import WeightAverage
from noisyflywheel.nets.features import make_head
from noisyflywheel.nets.trainer import Trainer
from noisyflywheel.views.adapter import ViewAdapter

FURTHER = 0.0003
"""Learning rate at the start of a warm-started fit's cycles, as a share of a default net's own: its schedule has ended,
and a rate that rises again would undo what was learnt. Users' nets keep their own schedules."""

HOLD = 0.4
"""Share of the cycles over which a default net on vectors keeps its whole learning rate, before the cosine: with few
cycles f is still behind g when a cosine from the start has taken its steps away."""


class Flywheel:
    """Two interlocked EM cycles over two nets (Sec. 3, Figure 2).

    Parameters
    ----------
    main, aux : Trainer
        g and f. Without an auxiliary network (Eq. 7) both are the same trainer.
    views : ViewAdapter
        Weak and strong views.
    source : Source
        The rows.
    given : Tensor of shape (N,), int64
        Given labels, 0..K-1.
    n_classes : int
        K.
    settings : Settings
        Validated parameters.
    seed : int
        Drives batch order, MixUp and views.
    """

    def __init__(
        self,
        main: Trainer,
        aux: Trainer,
        views: ViewAdapter,
        source: Source,
        given: Tensor,
        n_classes: int,
        settings: Settings,
        seed: int,
    ) -> None:
        self.main, self.aux, self.views, self.source = main, aux, views, source
        self.trainers = [main] if main is aux else [main, aux]
        self.settings = settings
        self.first_cycle = 0
        self.given, self.n_classes = given, n_classes
        self.order = torch.Generator().manual_seed(seed)
        self.augment = torch.Generator(device=views.generator_device(source.device)).manual_seed(seed)
        self.all_rows = torch.arange(len(source), device=given.device)
        self.vectors = source.take(self.all_rows[:1]).ndim == 2
        self.head: torch.nn.Module | None = None
        if settings.refurbish and settings.contrastive_weight > 0 and aux.features.available:
            self.head = make_head(aux.features, self.plain(source.take(self.all_rows[:2])), aux.device)
            aux.add_module(self.head)
        self.state = FlywheelState.start(given, n_classes, 1.0 / n_classes)
        if settings.average_epochs > 0:
            for trainer in self.trainers:
                steps = max(1.0, len(source) / max(1, trainer.net.batch_size))
                trainer.average = WeightAverage(trainer.net.module_, settings.average_epochs * steps)

    # ---- Figure 2

    def cycle(self) -> dict[str, float]:
        """One turn of the flywheel; returns its row of the history."""
        return self.second_half(self.first_half())

    def first_half(self) -> dict[str, Any]:
        """Steps 1 to 4: both E-steps, f's M-step, the resampling; returns what the second half needs."""
        clock = Clock(self.main.device)
        self._schedule()
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

    def second_half(self, half: dict[str, Any]) -> dict[str, float]:
        """Step 5: g's M-step; returns the cycle's row of the history."""
        clock = Clock(self.main.device)
        main_loss_value = self._m_step_main(half["rows"])
        clock.lap("main_m_seconds")
        self.state.cycle += 1
        row = history_row(self, half["rows"], half["auxiliary_loss"], main_loss_value)
        return row | half["laps"] | clock.laps

    def _schedule(self) -> None:
        """Cosine annealing over the cycles, for both nets (Sec. 4.2); further cycles begin again at ``FURTHER``.

        On vectors it begins after the share ``HOLD`` of a first fit's cycles.
        """
        first = self.first_cycle == 0
        peak, hold = 1.0 if first else FURTHER, HOLD if first and self.vectors else 0.0
        share = ((self.state.cycle - self.first_cycle) / self.settings.n_cycles - hold) / (1 - hold)
        for trainer in self.trainers:
            trainer.scale_lr(peak * 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0))))

    def go_on_from(self, cycle: int) -> None:
        """Begin the cycles of this fit after ``cycle``; beyond 0, a warm start, BatchNorm keeps its statistics."""
        self.first_cycle = cycle
        for trainer in self.trainers if cycle > 0 else ():
            trainer.freeze_statistics()

    def _draw_rows(self) -> Tensor:
        """The rows of this cycle: all, or ``cycle_size`` class-balanced ones."""
        size = self.settings.cycle_size
        if size is None:
            return self.all_rows
        return balanced_rows(self.given, self.n_classes, size, self.order)

    def _e_step_main(self, rows: Tensor) -> None:
        """Step 1: which labels are clean (Eq. 4), with g on the rows as they are; gamma (Eq. 6)."""
        main_e_step(self, rows)

    def _e_step_auxiliary(self, rows: Tensor) -> None:
        """Step 2: f's guess of the true class (Eq. 11).

        Where every row takes part in every cycle it is the guess of the last step 4: f has not changed since.
        """
        fresh = self.settings.cycle_size is None and self.state.cycle > 0
        if self.settings.refurbish and not fresh:
            self.state.f_prob[rows] = self._guess(rows)

    def _m_step_auxiliary(self, rows: Tensor) -> float:
        """Step 3: train f on the refurbished labels (Eq. 13); T and T_c in closed form."""
        s = self.state
        if not self.settings.refurbish:
            return float("nan")
        given, q, f_prob = self.given[rows], s.q[rows], s.f_prob[rows]
        s.transition = em.transition_matrix(em.refurbish(q, given, f_prob), given)
        s.corruption = em.corruption_matrix(q, f_prob, given)
        return self.aux.epoch(auxiliary_batches(self, rows))

    def _resample(self, rows: Tensor) -> None:
        """Step 4: resampled labels y^ and corruption probabilities (Eq. 14), with the updated f."""
        s, given = self.state, self.given[rows]
        if not self.settings.refurbish:
            s.f_prob[rows] = self.predict(self.main, rows).exp()
            self._sum_posterior(rows)
            return
        f_prob = self._guess(rows)
        s.f_prob[rows] = f_prob
        if self.settings.resample == "posterior":
            s.y_hat[rows] = em.refurbish(s.q[rows], given, f_prob).argmax(1)
        else:
            s.y_hat[rows] = f_prob.argmax(1)
        self._sum_posterior(rows)
        if self.settings.noise_model == "class":
            s.eps[rows] = em.error_probability(f_prob, s.corruption, given).double()

    def _sum_posterior(self, rows: Tensor) -> None:
        """Sums for the calibrated clean probability, over the later half of the cycles."""
        s = self.state
        if s.cycle - self.first_cycle >= self.settings.n_cycles // 2:
            s.q_sum[rows] += s.q[rows]
            s.f_given_sum[rows] += s.f_prob[rows].gather(1, self.given[rows][:, None]).squeeze(1)
            s.n_late[rows] += 1

    def _m_step_main(self, rows: Tensor) -> float:
        """Step 5: train g on the resampled labels with the confidence regularizer (Eq. 8), or on Eq. (7)."""
        return self.main.epoch(main_batches(self, rows))

    def warm_up_epoch(self, held: list[Tensor] | None = None) -> float:
        """Each net on the given labels of a cycle's rows, plain cross-entropy on weak views; returns f's mean loss.

        ``held`` has for each trainer the rows that it leaves out.
        """
        loss = 0.0
        for i, trainer in enumerate(self.trainers):
            kept = torch.ones(len(self.given), dtype=torch.bool, device=self.given.device)
            if held is not None:
                kept[held[i]] = False
            rows = self._draw_rows()
            loss = trainer.epoch(warm_up_batches(self, trainer, rows[kept[rows]]))
        return loss

    def held_out_agreement(self, held: list[Tensor]) -> Tensor:
        """Whether each net predicts the given labels of the rows it left out: bool, (m,)."""
        parts = zip(self.trainers, held, strict=True)
        return torch.cat([self.predict(t, rows).argmax(1) == self.given[rows] for t, rows in parts])

    def start_cycles(self) -> None:
        """gamma = training accuracy of f after warm-up, eps = 1/K (Sec. 4.1, Initialization)."""
        f_prob = self.predict(self.aux, self.all_rows).exp()
        accuracy = float((f_prob.argmax(1) == self.given).float().mean())
        self.state = FlywheelState.start(self.given, self.n_classes, accuracy)
        self.state.gamma = em.main.clip_clean_rate(self.state.gamma)
        self.state.f_prob = f_prob

    def cr_weight(self) -> float:
        """lambda of this cycle: 0 at first, then linear up to ``cr_weight`` over ``cr_ramp`` cycles."""
        ramp = self.settings.cr_ramp
        share = 1.0 if ramp <= 0 else min(1.0, self.state.cycle / ramp)
        return self.settings.cr_weight * share

    # ---- helpers

    def close(self) -> None:
        """The closing E-step (Eqs. 4, 11): q with the last g, f unsharpened on the rows as they are."""
        rows = self.all_rows
        self._e_step_main(rows)
        if self.settings.refurbish:
            self.state.f_prob = self.predict(self.aux, rows).exp()
        else:
            self.state.f_prob = self.predict(self.main, rows).exp()

    def predict(self, trainer: Trainer, rows: Tensor) -> Tensor:
        """Log-probabilities on the rows as they are, eval mode: (len(rows), K)."""
        return trainer.predict(self.source, self.plain, rows, self.views.eval_batch, pad=self.vectors)

    def _guess(self, rows: Tensor) -> Tensor:
        """f's probabilities, eval mode: the mean over the views that the view object names, (len(rows), K).

        Two weak ones (Sec. 4.1) unless it says otherwise, see `ViewAdapter.guess`.
        """
        total = torch.zeros(len(rows), self.n_classes, device=self.given.device)
        for name in self.views.guess:
            if name == "plain":
                total += self.predict(self.aux, rows).exp()
            else:
                total += self.aux.predict(self.source, self.weak, rows, self.views.eval_batch).exp()
        return total / len(self.views.guess)

    def plain(self, x: Tensor) -> Tensor:
        """Rows as they are, as views."""
        return self.views.plain(x)

    def weak(self, x: Tensor) -> Tensor:
        """Weakly augmented rows."""
        return self.views.weak(x, self.augment)

    def strong(self, x: Tensor) -> Tensor:
        """Strongly augmented rows."""
        return self.views.strong(x, self.augment)
