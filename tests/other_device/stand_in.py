"""A CUDA device for tests on machines without one, see `device_tensor`.

Inside ``with StandIn():`` the device ``cuda`` is there for torch and for the library, with one card that knows bf16.
"""

import gc
from contextlib import ExitStack, contextmanager, nullcontext
from unittest import mock

import torch
from device_tensor import DEVICE, STATE, DeviceTensor, Generator, generator_of, inner, moved, on_device, tensors_of
from torch import Tensor
from torch.overrides import TorchFunctionMode

SET_DATA = Tensor.data.__set__


class StandIn(TorchFunctionMode):
    """Context manager: the device is there."""

    def __init__(self):
        super().__init__()
        autocast = torch.autocast
        self.patches = ExitStack()
        self.fakes = {}
        self.fakes[torch.cuda] = {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "set_device": lambda device: None,
            "synchronize": lambda device=None: STATE.end_copies(),
            "memory_allocated": memory_allocated,
            "mem_get_info": lambda device=None: (STATE.free, STATE.free),
            "is_bf16_supported": lambda including_emulation=True: STATE.bf16,
            "default_generators": (STATE.random,),
            "get_rng_state": lambda device=None: STATE.random.get_state(),
            "set_rng_state": lambda state, device=None: STATE.random.set_state(state),
            "manual_seed": STATE.random.manual_seed,
            "manual_seed_all": STATE.random.manual_seed,
            "is_current_stream_capturing": lambda: False,
            "set_sync_debug_mode": lambda mode: setattr(STATE, "warns", mode == "warn"),
        }
        self.fakes[torch.accelerator] = {  # what torch's optimizers and DataLoader ask
            "is_available": lambda: True,
            "current_accelerator": lambda *args, **kwargs: None,
            "current_device_index": lambda: 0,
            "set_device_index": lambda index: None,
        }
        self.fakes[torch] = {
            "Generator": Generator,
            "save": saved,
            "autocast": lambda kind, *args, **kwargs: autocast("cpu" if kind == "cuda" else kind, *args, **kwargs),
        }
        self.fakes[torch._C] = {"_InferenceMode": lambda mode: torch.set_grad_enabled(False)}
        self.fakes[Tensor] = {"pin_memory": lambda self, device=None: self.clone()}
        self.fakes[torch.serialization] = {"default_restore_location": lambda storage, location: storage}
        self.fakes[STATE] = {"is_there": True}

    def __enter__(self):
        for owner, fakes in self.fakes.items():
            self.patches.enter_context(mock.patch.multiple(owner, **fakes))
        return super().__enter__()

    @contextmanager
    def away(self):
        """The device is not there for a while, as on another machine."""
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self.__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.patches.close()
        STATE.warns = False
        if error[0] is None:
            STATE.end_copies()
        STATE.copies.clear()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is Tensor.to:
            return moved(*args, **kwargs)
        if func is Tensor.cuda:
            return moved(args[0], DEVICE)
        if getattr(func, "__name__", "") == "_parse_to":  # of `nn.Module.to`, makes no tensor
            return func(*args, **kwargs)
        if func == SET_DATA and isinstance(args[0], DeviceTensor):
            args[0].inner = args[1].inner
        check_generator(args, kwargs)
        kwargs.pop("pin_memory", None)
        return called(func, args, kwargs) if kwargs.get("device") is None else made(func, args, kwargs)


def called(func, args, kwargs):
    """The result of a call; one of the device's tensors only is on the device, as is what torch makes on the way."""
    there, here = tensors_of([args, kwargs])
    if not there:
        return func(*args, **kwargs)
    with mock.patch.object(STATE, "all_there", not here):
        out = func(*args, **kwargs)
    is_plain = type(out) is Tensor and not here and not out.requires_grad
    return DeviceTensor(out) if is_plain else out


def made(func, args, kwargs):
    """The tensor of a call with ``device=``."""
    there, needs_grad = torch.device(kwargs.pop("device")).type == "cuda", kwargs.pop("requires_grad", False)
    draws = there and generator_of(args, kwargs) is None
    with STATE.own_random() if draws else nullcontext():
        try:
            tensor = func(*inner(args), **inner(kwargs), device="cpu")
        except RuntimeError as error:
            is_full = there and "allocate memory" in str(error)
            raise torch.OutOfMemoryError(str(error)) if is_full else error from error
    tensor = on_device(tensor, {}) if there else tensor
    return tensor.requires_grad_() if needs_grad else tensor


def check_generator(args, kwargs):
    """Raise RuntimeError where the generator is not of the device of what is drawn."""
    generator = generator_of(args, kwargs)
    if generator is None:
        return
    first = next((value for value in args if isinstance(value, Tensor)), None)
    place = torch.device(kwargs.get("device") or ("cpu" if first is None else first.device)).type
    if generator.device.type != place:
        found = f"but found {generator.device.type!r}"
        raise RuntimeError(f"Expected a {place!r} device type for generator {found}")


def memory_allocated(device=None):
    """Bytes of the tensors of the device that live."""
    living = [value.inner.untyped_storage() for value in gc.get_objects() if type(value) is DeviceTensor]
    return sum({storage.data_ptr(): storage.nbytes() for storage in living}.values())


def saved(value, *args, save=torch.save, **kwargs):
    """`torch.save`, which says that it is running."""
    with mock.patch.object(STATE, "is_saving", True):
        save(value, *args, **kwargs)
