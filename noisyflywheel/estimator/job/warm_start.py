"""``warm_start``: what a fit leaves behind for the next one, and whether the next one may go on from it."""

from __future__ import annotations

from typing import Any

from noisyflywheel.estimator.inputs.labelled_rows import LabelledRows
from noisyflywheel.loop.run import FlywheelRun
from noisyflywheel.persistence import parameter_fingerprint, state_fingerprint
from noisyflywheel.persistence.fitted import parameters_of


def kept_fit(run: FlywheelRun, data: LabelledRows, params: dict[str, Any], n_folds: int) -> dict[str, Any]:
    """The end of a fit, as `earlier_fit` finds it: the state of the loop, and what the next fit must have in common."""
    common = {"fingerprint": data.fingerprint(), "n_folds": n_folds, "optimizers": optimizers(params)}
    return run.kept() | common


def earlier_fit(estimator: Any, data: LabelledRows) -> dict[str, Any] | None:
    """The end of the last fit (see `kept_fit`) where ``warm_start`` asks to go on from it, else None.

    Raises
    ------
    ValueError
        If rows, labels, weights or optimizers are not those of the last fit.
    """
    kept = getattr(estimator, "_kept", None)
    if not estimator.warm_start or kept is None:
        return None
    if kept["fingerprint"] != data.fingerprint():
        raise ValueError(
            "warm_start=True needs the rows, features, classes, labels and weights of the last fit; "
            "clone the estimator or set warm_start=False to fit on others."
        )
    now = optimizers(parameters_of(estimator))
    before = kept.get("optimizers", now)  # files of earlier versions have none
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed:
        raise ValueError(
            f"warm_start=True goes on with the optimizers of the last fit, but {changed[0]} is another now: "
            "set it back, or set warm_start=False to fit anew."
        )
    return kept


def end_fingerprint(kept: dict[str, Any]) -> str:
    """Hash of the EM state and the weights with which the fit of `kept_fit` ended, whose times do not count."""
    snapshot = kept["snapshot"]
    return state_fingerprint([snapshot["state"], *(saved["net"]["parts"] for saved in snapshot["nets"])])


def optimizers(params: dict[str, Any]) -> dict[str, str]:
    """Hash of each parameter that sets an optimizer of the caller's nets, by names such as ``aux_net__lr``."""
    return hashes_of_nets(params, ("lr", "optimizer"))


def hashes_of_nets(params: dict[str, Any], parts: tuple[str, ...]) -> dict[str, str]:
    """Hash of each parameter of the caller's nets that is of one of the parts, by names such as ``aux_net__lr``."""
    nets = {name: params[name].get_params(deep=False) for name in ("main_net", "aux_net") if params[name] is not None}
    own = {f"{net}__{name}": value for net, all_params in nets.items() for name, value in all_params.items()}
    return {name: parameter_fingerprint({name: own[name]}) for name in own if name.split("__")[1] in parts}
