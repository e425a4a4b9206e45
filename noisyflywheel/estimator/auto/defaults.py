"""What every "auto" becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from noisyflywheel.em.some_rows import MANY_ROWS
from noisyflywheel.estimator.auto.separability import MOST_ROWS, separability
from noisyflywheel.estimator.auto.telling_features import weigh_few_features, weigh_quiet_features
from noisyflywheel.loop.decisions.decide import Decision
from noisyflywheel.loop.decisions.second_start import cycles_before
from noisyflywheel.loop.large import LARGE
from noisyflywheel.loop.state import Settings
from noisyflywheel.loop.with_folds.rounds import MOST_ROUNDS
from noisyflywheel.views.vectors import moments, share_a_unit

AUTO = {"mixup_alpha": 0.0, "contrastive_weight": 0.0, "distribution_alignment": 0.0}
AUTO_VECTORS = AUTO | {"average_epochs": 0.0, "ramp_share": 0.1, "n_cycles": 100, "distribution_alignment": 0.3}
AUTO_IMAGES = AUTO | {"average_epochs": 5.0, "ramp_share": 0.4, "n_cycles": 100, "distribution_alignment": 0.3}
AUTO_FOLDS = AUTO | {"average_epochs": 0.0, "ramp_share": 0.5, "n_cycles": 16}
"""What "auto" stands for, without folds and with them; ``cr_ramp`` is ``ramp_share`` of the cycles. In the tens of
epochs that a default fit has, MixUp and the contrastive loss cost more than they give: f stays behind g, on tables and
embeddings as on pictures. Small convolutional nets underfit, want a long ramp and their weights averaged. Which class
is labelled as which is settled in the first cycles, where f's guess is aligned."""

FEWER_CYCLES = 0.5
"""Share of the cycles beyond ``MANY_ROWS`` rows, where each has many steps, and with nets of the user's own."""

LONGEST_RAMP = 5
"""Most cycles of lambda's ramp for one net on vectors: a long one leaves it time to memorise the given labels."""

SMALL_TABLE = 5_000
"""Rows up to which cycles may be repeated (`noisyflywheel.loop.with_folds.rounds`): more rows have enough steps in one
round."""

DERIVED = ("n_rounds", "n_first_cycles")
"""Settings that are no parameters."""


def make_settings(params: dict[str, Any], image: bool, n_folds: int = 1, n_rows: int = 0) -> Settings:
    """The loop's settings from checked parameters, every "auto" resolved but that of the warm-up."""
    values = {name: params[name] for name in Settings.__dataclass_fields__ if name not in DERIVED}
    auto: dict[str, Any] = AUTO_IMAGES if image else AUTO_FOLDS if n_folds > 1 else AUTO_VECTORS
    auto = auto | {"distribution_alignment": 0.0} if params["resample"] == "argmax" else auto
    own_nets = params["main_net"] is not None or params["aux_net"] is not None
    usual = int(auto["n_cycles"] * FEWER_CYCLES) if own_nets or n_rows > MANY_ROWS else auto["n_cycles"]
    n_cycles = usual if params["n_cycles"] == "auto" else params["n_cycles"]
    longest = n_cycles if image or n_folds > 1 else LONGEST_RAMP
    ramp = max(1, min(int(n_cycles * auto["ramp_share"]), longest))
    for name, value in (auto | {"n_cycles": n_cycles, "cr_ramp": ramp}).items():
        if name in values and isinstance(values[name], str):  # "auto"
            values[name] = value
    has_rounds = n_folds > 1 and params["n_cycles"] == "auto" and n_rows <= SMALL_TABLE
    twice = starts_twice(params, own_nets, n_folds, n_rows)
    first = cycles_before(n_cycles, values["cr_ramp"]) if twice else 0
    return Settings(**values, n_rounds=MOST_ROUNDS if has_rounds else 1, n_first_cycles=first)


def starts_twice(params: dict[str, Any], own_nets: bool, n_folds: int, n_rows: int) -> bool:
    """Whether the nets begin again once T_c is known: where that was measured, and Eqs. (11) and (14) are in use."""
    usual = {"n_cycles": "auto", "cycle_size": None, "refurbish": True, "noise_model": "class", "resample": "posterior"}
    is_usual = all(_is_one_of(params[name], (value,)) for name, value in usual.items())
    return is_usual and not own_nets and n_folds == 1 and n_rows <= MANY_ROWS


WIDE = 61
"""So many features of one unit, those of the smallest pictures (8 x 8) but for three corners that are always blank, are
pixels or an embedding: what views of noise are for. Fewer measurements in one unit (channels, frequencies, points of a
curve) are a table."""

BY_HEART = 1.5
"""Rows for each feature below which any labels can be learnt by heart: where there are twice as many rows as features a
hyperplane separates half of all ways to label two classes, with clearly fewer rows nearly all of them (Cover 1965)."""

MANY_FLAGS = 0.25
"""From this share of two-valued features on rows are a table with encoded categories, whatever their variances are."""

FOLDS = ((SMALL_TABLE, 5), (MANY_ROWS, 3), (None, 2))
"""Rows up to which there are so many folds: with more rows each member sees enough without many folds."""

IN_SAMPLE: dict[str, tuple[Any, ...]] = {
    "main_net": (None,),
    "aux_net": (None,),
    "views": ("auto",),
    "cycle_size": (None,),
    "contrastive_weight": ("auto", 0),
    "mixup_alpha": ("auto", 0),
    "sharpen_temperature": (1,),
    "distribution_alignment": ("auto", 0),
    "average_epochs": ("auto", 0),
    "resample": ("posterior",),
    "calibrate": ("auto",),
    "refurbish": (True,),
    "feature_layer": ("auto",),
}
"""Values with which folds are possible; another one asks for the paper's E-steps on rows that the nets train on."""


def choose_n_folds(
    params: dict[str, Any], sample: Tensor, n_rows: int, is_table: bool = False, given: Tensor | None = None
) -> tuple[int, Decision]:
    """Folds of the members for rows like ``sample`` (m, ...), and why.

    ``is_table`` where that is known; ``given`` has the labels of the sample (m,), to ask whether features tell them.

    Raises
    ------
    ValueError
        If ``n_folds`` is above 1 together with a parameter that has no meaning then, or with too few rows.
    """
    against, asked, vectors = against_folds(params), params["n_folds"], sample.ndim == 2
    if asked != "auto":
        if asked > 1 and (against or not vectors or asked > n_rows):
            why = (
                f"with {_shown(against[0], params[against[0]])}"
                if against
                else f"for {n_rows} rows of {sample.ndim - 1} axes"
            )
            raise ValueError(f"n_folds={asked} cannot be had {why}: set n_folds=1 or 'auto'.")
        return int(asked), Decision("n_folds", str(asked), reason="asked for")
    if not vectors or against:
        reason = f"{against[0]} is set" if against else "no vectors"
        return 1, Decision("n_folds", "1", reason=reason)
    n_folds = _folds_of(n_rows)
    if is_table or sample.shape[1] < WIDE or not is_of_one_unit(sample):
        return n_folds, Decision("n_folds", str(n_folds), reason=f"a table of {n_rows} rows")
    return _folds_of_one_unit(sample, n_rows, n_folds, given)


def _shown(name: str, value: Any) -> str:
    """A parameter in one line: skorch shows a net in many."""
    text = repr(value)
    return f"{name}={type(value).__name__}(...)" if "\n" in text else f"{name}={text}"


def choose_folds_instead(
    params: dict[str, Any], chosen: int, sample: Tensor, n_rows: int, n_classes: int
) -> int | None:
    """Folds to begin again with if the one net that "auto" has ``chosen`` turns against itself, else None.

    Such a net has learnt wrong labels by heart, or confirms its own guesses; members judge rows they have not seen.
    """
    if chosen > 1 or params["n_folds"] != "auto" or sample.ndim > 2 or n_rows * n_classes > LARGE:
        return None
    return None if against_folds(params) else _folds_of(n_rows)


def against_folds(params: dict[str, Any]) -> list[str]:
    """Names of the parameters with which there are no folds."""
    return [name for name, values in IN_SAMPLE.items() if not _is_one_of(params[name], values)]


def _folds_of(n_rows: int) -> int:
    """By `FOLDS`."""
    return min(next(folds for most, folds in FOLDS if most is None or n_rows <= most), n_rows)


def _folds_of_one_unit(sample: Tensor, n_rows: int, n_folds: int, given: Tensor | None) -> tuple[int, Decision]:
    """``n_folds`` where labels can be learnt by heart, quiet or few features tell, or all tell little; otherwise 1."""
    width = sample.shape[1]
    if n_rows < BY_HEART * width:
        reason = f"{n_rows} rows of {width} features: labels can be learnt by heart"
        return n_folds, Decision("n_folds", str(n_folds), reason=reason)
    one = Decision("n_folds", "1", reason=f"{width} features in one unit: views of noise")
    if given is None or n_rows * (int(given.max()) + 1) > LARGE:
        return 1, one
    for weigh, which in ((weigh_quiet_features, "quiet"), (weigh_few_features, "few")):
        weighed = weigh(sample, given)
        if weighed.chosen == weighed.candidate:
            return n_folds, weighed._replace(chosen=str(n_folds), reason=f"{which} features tell of the classes")
    asked = separability(sample, given)
    found = one._replace(
        candidate="all rows",
        alternative="the surest",
        agreement=asked.agreement,
        alternative_agreement=asked.among_surest,
        n_rows=min(len(sample), MOST_ROWS),
    )
    if asked.tells:
        return 1, found
    figures = f"{asked.value:.2f}, accord {asked.accord:.2f}"
    if asked.is_open:
        figures += f", by likelihood {asked.known:.2f}"
    reason = f"{width} features in one unit tell little of the classes: {figures}"
    return n_folds, found._replace(chosen=str(n_folds), reason=reason)


def is_of_one_unit(sample: Tensor) -> bool:
    """Whether the features of rows (m, d) that vary share a unit: variances are alike, few are flags."""
    _, variance, varies = moments(sample)
    if not varies.any():
        return False
    return share_a_unit(variance[varies]) and share_of_flags(sample[:, varies]) < MANY_FLAGS


def share_of_flags(sample: Tensor) -> float:
    """Share of the features of rows (m, d) that have two values: (0, 1)-columns of categories, scaled or not."""
    low, high = sample.amin(0), sample.amax(0)
    return float(((sample == low) | (sample == high)).all(0).double().mean())


def _is_one_of(value: Any, values: tuple[Any, ...]) -> bool:
    value = value.item() if isinstance(value, np.generic) else value
    return any(value is other or (type(value) in (str, int, float, bool) and value == other) for other in values)
