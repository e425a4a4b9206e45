"""How a net's rows are read: what skorch users set with ``iterator_train__num_workers`` and its like."""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet

from noisyflywheel.data.workers import OPTIONS


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
