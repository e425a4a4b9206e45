"""What one fit works on and with: checked rows and labels, parameters, seeds, and an earlier fit that it continues."""

from __future__ import annotations

from typing import Any, NamedTuple

from noisyflywheel.estimator.inputs.labelled_rows import LabelledRows
from noisyflywheel.estimator.inputs.sample_weight import WeightedRows, weighted_rows
from noisyflywheel.estimator.job.assemble import Sample, first_row, sample_of
from noisyflywheel.estimator.job.random_states import draw_seeds
from noisyflywheel.estimator.job.warm_start import earlier_fit, end_fingerprint
from noisyflywheel.loop.decisions.decide import Decision
from noisyflywheel.nets.parallel.ranks import Ranks
from noisyflywheel.nets.workers import options_of_sample
from noisyflywheel.persistence import fit_key
from noisyflywheel.persistence.fitted import parameters_of


class FitJob(NamedTuple):
    """What a fit works on and with; the same whether it has one net on all rows or folds."""

    estimator: Any
    """Gets the fitted attributes."""
    data: LabelledRows
    """What the caller gave, in the caller's order."""
    params: dict[str, Any]
    """`parameters_of` the estimator, checked."""
    seeds: list[int]
    """Of g, of f, and of the loop."""
    trained: WeightedRows
    """``data`` as the loop takes it."""
    n_taking_part: int
    """Rows of a weight above 0."""
    sample: Sample
    """Rows from which views, scales and "auto" learn."""
    earlier: dict[str, Any] | None
    """The end of the fit that ``warm_start`` continues."""
    ranks: Ranks
    """Processes that share the fit."""

    @classmethod
    def of(cls, estimator: Any, data: LabelledRows, ranks: Ranks) -> FitJob:
        """The job of fitting ``estimator`` on ``data``; ValueError if it cannot go on from its last fit."""
        own_seeds = draw_seeds(estimator.random_state)  # on every rank: a RandomState goes on alike
        seeds = ranks.of_first(lambda: own_seeds, "drawing seeds")
        trained = weighted_rows(data.rows, data.codes, data.weights)
        n = len(trained.codes) if trained.weights is None else int((trained.weights > 0).sum())
        params, earlier = parameters_of(estimator), earlier_fit(estimator, data)
        asked = options_of_sample(params["main_net"], params["aux_net"])
        sample = sample_of(trained, first_row(data.rows), asked)
        return cls(estimator, data, params, seeds, trained, n, sample, earlier, ranks)

    def fingerprint(self) -> str:
        """Hash of the data and, where ``warm_start`` goes on from an earlier fit, of the state that it left."""
        data = self.data.fingerprint()
        if self.decisions:  # earlier versions took copies for rows of their own
            data = fit_key(data, "copies are one row")
        return data if self.earlier is None else fit_key(data, end_fingerprint(self.earlier))

    @property
    def decisions(self) -> list[Decision]:
        """What was decided of the rows before anything else: whether copies are one row."""
        n = len(self.data.codes) - len(self.trained.codes)
        reason = f"{n:,} rows have the features and the label of another row, and would vouch for it"
        return [Decision("copies", "one row each", reason)] if n > 0 else []

    @property
    def is_table(self) -> bool:
        """Whether X had to be encoded: columns that are no numbers, or missing cells."""
        return self.estimator.encoder_ is not None or self.estimator.input_features_ is not None
