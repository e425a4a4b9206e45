"""Where the library may read a value back to the host, and what notices that it does.

A read makes the host wait for the device, which then stands still until it is given work again. None may happen once
a step; those once a cycle or an epoch are listed here, with the most there may be of each.

On CUDA the device itself tells (`torch.cuda.set_sync_debug_mode`). On a CPU nothing waits, so the operations that
would are counted; there a value that lives on the host on every device counts as well, and is in `HOST`.
"""

import sys
import warnings
from collections import Counter
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import noisyflywheel

PACKAGE = Path(noisyflywheel.__file__).parent

READS = {
    # place: the most in one cycle                what is read
    "nets/trainer:epoch": 2,  # mean loss of each M-step
    "loop/watch/history:history_row": 3,  # agreement, largest class, entropy
    "loop/flywheel:step_after_resampling": 1,  # gamma
    "em/calibration:overconfidence": 1,  # whether g is calibrated
    "em/calibration:likeliest": 1,  # the most likely temperature, in cycles where it is
    "em/calibration:calibrate_with_clean_rate": 1,  # the most likely temperature and clean rate, with folds
    "loop/watch/guard:complaint": 2,  # how far the classes' shares moved, against both references
}
HOST = {
    "views/mixup:mixing_weight",  # one number drawn on the host
    "views/randaugment:apply_drawn",  # operations drawn on the host
    "views/randaugment:blend_ratio",  # a constant
}

_OPERATIONS = (
    "_local_scalar_dense",
    "nonzero",
    "is_nonzero",
    "equal",
    "bincount",
    "masked_select",
    "_unique2",
    "unique_dim",
)


class HostReads:
    """Context manager: counts reads by place, "file:function" of the innermost frame of the library."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.places: Counter[str] = Counter()
        self._open = []

    def __enter__(self):
        if self.device.type == "cuda":
            self._open = [warnings.catch_warnings()]
            self._open[0].__enter__()
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *rest: self.take(str(message).startswith("called a synchronizing"))
            torch.cuda.set_sync_debug_mode("warn")
        else:
            self._open = [_Operations(self), _Methods(self)]
            for mode in self._open:
                mode.__enter__()
        return self

    def __exit__(self, *error):
        if self.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
        for mode in reversed(self._open):
            mode.__exit__(*error)

    def take(self, is_read: bool = True) -> None:
        """Count one read where the library is now."""
        place = here() if is_read else None
        if place is not None:
            self.places[place] += 1

    def not_listed(self) -> dict[str, int]:
        """Places that are not listed, and those with more reads than listed, with their counts."""
        known = READS if self.device.type == "cuda" else READS | dict.fromkeys(HOST, sys.maxsize)
        return {place: count for place, count in self.places.items() if count > known.get(place, 0)}


def here() -> str | None:
    """The innermost frame of the library, or None."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if PACKAGE in path.parents and not frame.f_code.co_name.startswith("<"):
            return f"{path.relative_to(PACKAGE).with_suffix('')}:{frame.f_code.co_name}"
        frame = frame.f_back
    return None


class _Operations(TorchDispatchMode):
    """Operations whose result the host has to know, an index by a mask among them."""

    def __init__(self, reads: HostReads) -> None:
        super().__init__()
        self.reads = reads

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split("::")[-1].split(".")[0]
        self.reads.take(name in _OPERATIONS or (name in ("index", "index_put_", "index_put") and by_mask(args[1])))
        return func(*args, **kwargs or {})


class _Methods(TorchFunctionMode):
    """Methods that bring a tensor to the host without an operation of their own on a CPU."""

    def __init__(self, reads: HostReads) -> None:
        super().__init__()
        self.reads = reads

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        self.reads.take(name in ("tolist", "numpy", "cpu"))
        return func(*args, **kwargs or {})


def by_mask(indices) -> bool:
    """Whether one of the indices is a mask: its number of rows has to be known."""
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)
