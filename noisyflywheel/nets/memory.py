"""Out of memory: say which batch size it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DEVICE_FULL = ("out of memory", "ALLOC_FAILED")
"""What plain errors of a full device say: MPS, the CUDA driver, cuBLAS and cuDNN."""


@contextmanager
def naming_batch_size(batch_size: int, what: str) -> Iterator[None]:
    """Errors of a full device or host inside become ones that name the batch size.

    Raises
    ------
    torch.OutOfMemoryError
        On a device.
    MemoryError
        On the host, where torch raises a plain RuntimeError.
    """
    advice = f"out of memory in {what} with batch_size={batch_size}: set a smaller one on the net, or a smaller net"
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(f"{advice} ({error})") from error
    except MemoryError as error:
        raise MemoryError(f"{advice} ({error})") from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in DEVICE_FULL):
            raise torch.OutOfMemoryError(f"{advice} ({error})") from error
        if "allocate memory" not in str(error):
            raise
        raise MemoryError(f"{advice} ({error})") from error
