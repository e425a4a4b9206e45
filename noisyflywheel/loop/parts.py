"""What a flywheel is made of: nets, rows, settings and state; and how all of it is saved and put back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from noisyflywheel.data import balanced_rows, rows_a_batch
from noisyflywheel.loop.decisions.second_start import SecondStart
from noisyflywheel.loop.decisions.view_strength import Unseen
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.loop.plans import FlywheelPlans
from noisyflywheel.loop.state import FlywheelState, Settings
from noisyflywheel.nets.average import WeightAverage
from noisyflywheel.nets.features import make_head
from noisyflywheel.nets.modules import all_modules
from noisyflywheel.nets.stopping import count_anew
from noisyflywheel.nets.trainer import Trainer

MOST_ROWS, MOST_NUMBERS = 30_000, 50_000_000
"""Forests and neighbours are asked of so many rows at most, which are all in memory then, and of so many numbers in
them."""


class FlywheelParts(FlywheelPlans):
    """The parts of a `noisyflywheel.loop.flywheel.Flywheel`, without what it does with them.

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

    Attributes
    ----------
    trainers : list of Trainer
        g and f, or g alone.
    all_rows : Tensor of shape (B,), int64
        The rows that take part.
    training_weights : Tensor of shape (N,) or (M, N), optional
        Weights of the rows in training: ``sample_weight``, or those of each of the M members of a net with folds.
    first_cycle : int
        Cycles of the earlier fit that this one continues.
    has_held_out : bool
        Whether nets leave rows out of the warm-up, and so know when to end it.
    unseen : Unseen or None
        The warm-up's agreement with the given labels of these rows.
    """

    is_guarded = True
    """Whether the run watches the cycles with a `Guard`."""
    position: Tensor | None = None
    """Where each row of the caller is among the rows: (n,), int64; None where the order is the caller's."""

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
        self.training_weights = sample_weight
        self.first_cycle, self.has_held_out = 0, False
        self.second_start = SecondStart(settings.n_first_cycles)
        self.decisions, self.unseen = [], None
        self.all_rows = rows_above_zero(given, sample_weight)
        self.state = FlywheelState.start(given, n_classes, 1.0 / n_classes, self._first_f_prob())
        self.head = self._projection_head()
        self._average_weights()

    # ---- rows

    def _draw_rows(self, among: Tensor) -> Tensor:
        """The rows of a cycle or a warm-up epoch: all rows ``among`` (m,), or ``cycle_size`` class-balanced ones."""
        size = self.settings.cycle_size
        if size is None:
            return among
        return among[balanced_rows(self.given[among], self.n_classes, size, self.loader.order)]

    def _weights_of(self, rows: Tensor) -> Tensor | None:
        return None if self.sample_weight is None else self.sample_weight[rows]

    @property
    def are_many_rows(self) -> bool:
        """Whether there are too many rows to look at all of them at once: `MOST_ROWS`, `MOST_NUMBERS`."""
        n = len(self.given)
        return n > MOST_ROWS or n * self.loader.row_numbers > MOST_NUMBERS

    def _plain_rows(self) -> Tensor:
        """All rows as nets see them without views: (N, ...)."""
        every = torch.arange(len(self.given), device=self.given.device)
        return self.loader.plain(next(iter(self.loader.source.stream([every]))))

    # ---- parts

    def _first_f_prob(self) -> Tensor | None:
        """The array in which f's predictions are kept: (N, K); None leaves it to `FlywheelState.start`, in float32."""
        return None

    def of_caller(self, values: Tensor) -> Tensor:
        """Values of the rows (N, ...), such as those of ``state``, in the caller's order: (n, ...).

        Small sets are sorted, and copies are one row (`noisyflywheel.estimator.inputs.sample_weight`).
        """
        return values if self.position is None else values[self.position]

    def f_labels(self) -> Tensor:
        """f's most likely class of each row that takes part: (B,)."""
        return self._f_labels_of(self.all_rows)

    def _f_labels_of(self, rows: Tensor) -> Tensor:
        return torch.cat([self.state.f_prob[block].argmax(1) for block in self._blocks(rows)])

    def _blocks(self, rows: Tensor) -> Sequence[Tensor]:
        """Rows (B,) in the blocks in which their predictions are worked on; here all of them are one."""
        return [rows]

    def _projection_head(self) -> torch.nn.Module | None:
        """The head of the contrastive loss, trained by f's optimizer; None where there is no such loss."""
        settings, aux = self.settings, self.aux
        if not (settings.refurbish and settings.contrastive_weight > 0):
            return None
        rows = self.loader.plain(self.loader.source.take(self.all_rows[:2]))
        head = make_head(aux.features, aux.laid_out(rows), aux.device)
        aux.add_module(head)
        return head

    def _average_weights(self) -> None:
        """Start the moving averages of the nets' weights, over ``average_epochs``."""
        if self.settings.average_epochs <= 0:
            return
        n_rows = self.settings.cycle_size or len(self.all_rows)
        for trainer in self.trainers:
            steps = max(1.0, n_rows / rows_a_batch(n_rows, trainer.net.batch_size))
            trainer.average = WeightAverage(all_modules(trainer.net), self.settings.average_epochs * steps)

    def state_dict(self) -> dict[str, Any]:
        """Nets, optimizers, learning rates, EM state and random states, copied, as nested plain values and tensors."""
        saved: dict[str, Any] = {
            "state": self.state.state_dict(),
            "head": None if self.head is None else copy.deepcopy(self.head.state_dict()),
            "nets": [trainer.state_dict() for trainer in self.trainers],
            "unseen": None if self.unseen is None else tuple(self.unseen),
            "second_start": self.second_start.state_dict(),
            "global": torch.get_rng_state(),
        }
        if self.main.device.type == "cuda":
            saved["cuda"] = torch.cuda.get_rng_state(self.main.device)
        return saved | self.loader.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go to where the flywheel was when `state_dict` was called, on it or on one built the same way."""
        self.state.load_state_dict(saved["state"])
        self.loader.load_state_dict(saved)
        if "second_start" in saved:
            self.second_start.load_state_dict(saved["second_start"])
        self.unseen = None if saved.get("unseen") is None else Unseen(*saved["unseen"])
        if self.loader.views.strength is not None:
            self.loader.views.strength = self.state.view_strength
        torch.set_rng_state(saved["global"])
        if "cuda" in saved and self.main.device.type == "cuda":
            torch.cuda.set_rng_state(saved["cuda"], self.main.device)
        if self.head is not None and saved["head"] is not None:
            self.head.load_state_dict(saved["head"])
        for trainer, own in zip(self.trainers, saved["nets"], strict=True):
            trainer.load_state_dict(own)

    def go_back_to(self, saved: dict[str, Any]) -> None:
        """Undo what was done since `state_dict` returned ``saved``; the count of the cycles goes on."""
        cycle = self.state.cycle
        self.load_state_dict(saved)
        self.state.cycle = cycle

    def go_on_from(self, saved: dict[str, Any]) -> None:
        """Begin where another fit ended, whose `state_dict` is ``saved``; ValueError if it had other parts."""
        self._check_parts(saved)
        of_nets = {"nets": [Trainer.of_another_fit(net) for net in saved["nets"]]}
        try:
            self.load_state_dict({name: part for name, part in saved.items() if name != "view_attributes"} | of_nets)
        except (KeyError, RuntimeError) as error:  # torch and skorch compare weights and callbacks by name
            raise ValueError(
                f"warm_start=True goes on with the nets of the last fit, but these have other weights or callbacks "
                f"({' '.join(str(error).split())}): set them back, or set warm_start=False to fit anew."
            ) from error
        for trainer in self.trainers:
            count_anew(trainer.net)
        self.first_cycle, self.second_start = self.state.cycle, SecondStart()

    def _check_parts(self, saved: dict[str, Any]) -> None:
        """Raise ValueError with the name of the parameter that gave another fit more parts than this one, or fewer."""
        averages = [net["average"] is not None for net in saved["nets"]]
        others = {
            "refurbish": len(averages) != len(self.trainers),
            "average_epochs": self.settings.average_epochs > 0 and not all(averages),
            "contrastive_weight": (self.head is None) != (saved["head"] is None),
        }
        name = next((name for name, is_other in others.items() if is_other), None)
        if name is not None:
            raise ValueError(
                f"warm_start=True goes on with the nets of the last fit, which had another {name} "
                f"(now {getattr(self.settings, name)!r}): set it back, or set warm_start=False to fit anew."
            )

    # ---- rounds

    @property
    def n_rounds(self) -> int:
        """Rounds of cycles begun so far."""
        return 1

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


def rows_above_zero(given: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Indices of the rows that take part, on the device of ``given`` (N,): int64."""
    if sample_weight is None:
        return torch.arange(len(given), device=given.device)
    return sample_weight.nonzero().squeeze(1)
