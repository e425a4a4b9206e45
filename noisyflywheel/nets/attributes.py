"""Plain attributes that objects of the user's own change as a fit goes on: counters, records and the like."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

UNCHANGING = (type(None), bool, int, float, str)

DEEPEST = 20
"""Levels down to which nested lists and dicts are plain."""


def is_nested_plain(value: Any, arrays: bool = True, deepest: int = DEEPEST) -> bool:
    """Whether a value can be stored: plain or, with ``arrays``, a tensor or an array, or a nested container of them."""
    if type(value) in UNCHANGING:
        return True
    if deepest == 0:  # it may hold itself
        return False
    if type(value) is dict:
        keys = all(type(key) in (str, int) for key in value)
        return keys and all(is_nested_plain(item, arrays, deepest - 1) for item in value.values())
    if type(value) in (list, tuple):
        return all(is_nested_plain(item, arrays, deepest - 1) for item in value)
    if isinstance(value, (np.ndarray, np.generic)):
        return arrays and value.dtype.kind in "biufU"
    return arrays and isinstance(value, Tensor) and value.layout == torch.strided and value.device.type != "meta"


class ChangedAttributes:
    """Attributes of some objects that are numbers, texts or nested lists and dicts of them, as far as they change.

    What is as it was at the start is not kept, so that nothing that a fit elsewhere sets otherwise, such as the name
    of a device, is put back. Names that begin with ``_`` do not count.

    Parameters
    ----------
    owners : mapping of str to object
        As they are before the first step.
    """

    def __init__(self, owners: Mapping[str, Any]) -> None:
        self.owners = dict(owners)
        self.names = {name: vars(owner).keys() | set() for name, owner in self.owners.items()}
        self.start = {name: copy.deepcopy(_plain(owner)) for name, owner in self.owners.items()}

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Attributes by name that are not as at the start, of the owners that have some; copied."""
        changed = {}
        for name, owner in self.owners.items():
            found = {key: value for key, value in _plain(owner).items() if not _same(self.start[name], key, value)}
            if found:
                changed[name] = copy.deepcopy(found)
        return changed

    def load_state_dict(self, saved: dict[str, dict[str, Any]]) -> None:
        """Put back what `state_dict` returned, and the start of what has changed since the beginning, but not there."""
        for name, owner in self.owners.items():
            own, now = saved.get(name, {}), _plain(owner)
            back = {key: value for key, value in self.start[name].items() if key in now} | own
            for key, value in back.items():
                if not _same(now, key, value):
                    setattr(owner, key, copy.deepcopy(value))
            for key in now.keys() - back.keys() - self.names[name]:  # made since
                delattr(owner, key)


def _plain(owner: Any) -> dict[str, Any]:
    own = vars(owner).items()
    return {name: value for name, value in own if not name.startswith("_") and is_nested_plain(value, arrays=False)}


def _same(values: dict[str, Any], key: str, value: Any) -> bool:
    return key in values and type(values[key]) is type(value) and values[key] == value


def is_own(value: Any) -> bool:
    """Whether an object with attributes is of a class of the user's, or of another package than torch and this one."""
    return hasattr(value, "__dict__") and not type(value).__module__.startswith(("torch.", "noisyflywheel."))
