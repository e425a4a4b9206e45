"""How a net's rows are read: what skorch users set with ``iterator_train__num_workers`` and its like, and what not."""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet
from skorch.dataset import Dataset
from torch.utils.data import DataLoader

from noisyflywheel.data.workers import OPTIONS

AS_HERE: dict[str, dict[str, Any]] = {
    "iterator_train": {"shuffle": True, "drop_last": False},
    "iterator_valid": {"shuffle": False, "drop_last": False},
}
"""What the flywheel does anyway. ``iterator_valid__batch_size`` would change no result."""


def worker_options(**nets: NeuralNet) -> dict[str, Any]:
    """Parameters of torch's DataLoader, among `data.workers.OPTIONS`, that the nets set.

    Rows are read once for both nets, by the same workers. Of each option the first one counts: nets in the order given,
    ``iterator_train__*`` before ``iterator_valid__*``.

    Raises
    ------
    ValueError
        If a ``num_workers`` is no int of at least 0; the message names the net.
    """
    found: dict[str, Any] = {}
    for name, net in nets.items():
        for prefix in ("iterator_train", "iterator_valid"):
            options = {key: v for key, v in net.get_params_for(prefix).items() if key in OPTIONS}
            n_workers = options.get("num_workers", 0)
            if not isinstance(n_workers, int) or isinstance(n_workers, bool) or n_workers < 0:
                raise ValueError(f"{name} has {prefix}__num_workers={n_workers!r}: it must be an int of at least 0.")
            found = options | found
    return found


def options_of_sample(main_net: Any, aux_net: Any) -> dict[str, Any]:
    """Of `worker_options` those that also count where a few rows are read once: there workers start only if they pay.

    The nets may be anything, for they have not been checked yet.
    """
    nets = {"main_net": main_net, "aux_net": aux_net}
    asked = worker_options(**{name: net for name, net in nets.items() if isinstance(net, NeuralNet)})
    return {key: value for key, value in asked.items() if key != "num_workers" or value == 0}


def check_batches(net: NeuralNet, name: str) -> None:
    """Look for what would be ignored of how a net makes batches: every row is seen, in random order, by both nets.

    Raises
    ------
    ValueError
        For a Dataset or an iterator of the user's, and for parameters of an iterator beside `data.workers.OPTIONS`, but
        those that ask for what is done anyway. The message names it.
    """
    for part, usual in (("dataset", Dataset), ("iterator_train", DataLoader), ("iterator_valid", DataLoader)):
        if (own := getattr(net, part)) is not usual:
            raise _never_used(name, part, own, "X may be a torch Dataset")
        for key, value in net.get_params_for(part).items():
            used = key in OPTIONS or (part, key) == ("iterator_valid", "batch_size")
            if part != "dataset" and (used or value is None or AS_HERE[part].get(key) is value):
                continue
            instead = "set batch_size" if key == "batch_size" else "leave it out"
            raise _never_used(name, f"{part}__{key}", value, instead)


def _never_used(name: str, part: str, value: Any, instead: str) -> ValueError:
    shown = getattr(value, "__name__", None) or repr(value)
    reason = "batches are made here, of all rows in random order, the same for both nets"
    return ValueError(f"{name} has {part}={shown}, which is never used: {reason}. Instead, {instead}.")
