"""Where a net is, that both nets are in one place, and where new tensors are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from skorch import NeuralNet
from torch import nn


def net_device(net: NeuralNet) -> torch.device:
    """The device of a net: its own ``device``, or where it is None that of its module's weights."""
    if net.device is not None:
        return torch.device(net.device)
    module = getattr(net, "module_", net.module)
    parameter = next(module.parameters(), None) if isinstance(module, nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device


def check_same_device(main_net: NeuralNet, aux_net: NeuralNet, override: Any = None) -> None:
    """Raise ValueError if g and f are on two devices: rows and labels are on one.

    Parameters
    ----------
    main_net, aux_net : skorch NeuralNet
        Initialised or not.
    override : device or None
        Given, it replaces the device of both.
    """
    main, aux = net_device(main_net), net_device(aux_net)
    if override is None and _with_index(main) != _with_index(aux):
        raise ValueError(
            f"main_net is on device {str(main)!r} and aux_net on {str(aux)!r}: give both nets the same device, or set "
            f"the device parameter, which moves both."
        )


def check_device_is_there(name: str, device: torch.device) -> None:
    """Raise ValueError if the net called ``name`` asks for a CUDA device that torch does not see."""
    if device.type == "cuda" and (device.index or 0) >= (there := torch.cuda.device_count()):
        raise ValueError(f"{name} has device={str(device)!r}, which is not there: torch sees {there} CUDA device(s).")


def device_to_load(device: Any) -> str:
    """Where ``load(device=...)`` puts nets: "auto" is CUDA where there is one. ValueError for what is no device."""
    if str(device) == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be 'auto' or a torch device, got {device!r}.") from error
    check_device_is_there("load", found)
    return str(found)


@contextmanager
def float32_on_cpu() -> Iterator[None]:
    """Inside, new tensors are float32 and on the CPU where nothing else is said, whatever the caller's defaults are."""
    before = torch.get_default_dtype()
    on_cpu = torch.empty(0).device.type == "cpu"  # a device as a context slows every call down
    with nullcontext() if on_cpu else torch.device("cpu"):
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def _with_index(device: torch.device) -> torch.device:
    """``cuda`` as ``cuda:0``, or whichever of them is the present one."""
    if device.index is not None or device.type != "cuda":
        return device
    return torch.device("cuda", torch.cuda.current_device() if torch.cuda.is_initialized() else 0)
