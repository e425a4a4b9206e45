"""Tensors that lie on the CPU, say that they are on ``cuda:0``, and mix with others as those of a GPU do.

`stand_in.StandIn` makes them; these are the rules.

- An operation takes no tensors of two devices, but for numbers (0-dim) and indices on the CPU.
- ``numpy()``, ``np.asarray`` and a generator of the other device raise; the device has a random state of its own.
- What waits for the device warns in the sync debug mode.
- A copy that does not wait reads the host's memory late: it must not be written to before the next wait.
"""

import io
import warnings
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

DEVICE = torch.device("cuda:0")

INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_")
"""Operations that take indices, also from the CPU."""

TAKE_NUMBERS = (*INDEXED, "fill_", "masked_fill", "masked_fill_")
"""Operations that are not pointwise and take a number from the CPU."""

WAIT = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "bincount", "masked_select", "_unique2", "unique_dim")
"""Operations whose result the host has to know."""


class Generator(torch._C.Generator):
    """A generator of the CPU or of the device."""

    def __new__(cls, device="cpu"):
        generator = super().__new__(cls)
        generator.place = DEVICE if torch.device(device).type == "cuda" else torch.device("cpu")
        return generator

    @property
    def device(self):
        return self.place


class State:
    """What the device holds beside its tensors."""

    def __init__(self):
        self.is_there = False
        self.is_saving = False  # whether `torch.save` is running
        self.free, self.bf16 = 2**33, False  # bytes of free memory, and whether it knows bf16
        self.has_float64 = True  # MPS has none
        self.all_there = False  # whether the call that is running was given tensors of the device only
        self.warns = False  # at what waits
        self.random = Generator("cuda").manual_seed(0)
        self.copies = []  # those that may not have ended: (memory of the host, what it held)

    def wait(self):
        """An operation that the host waits for."""
        if self.warns:
            warnings.warn("called a synchronizing CUDA operation", stacklevel=2)
        self.end_copies()

    def end_copies(self):
        """Copies have ended."""
        copies, self.copies = self.copies, []
        if any(not torch.equal(now.nan_to_num(), then.nan_to_num()) for now, then in copies):
            raise AssertionError("the host wrote to memory before a copy of it to the device had ended")

    @contextmanager
    def own_random(self):
        """Whatever draws here draws from the device's generator."""
        before = torch.default_generator.get_state()
        torch.default_generator.set_state(self.random.get_state())
        try:
            yield
        finally:
            self.random.set_state(torch.default_generator.get_state())
            torch.default_generator.set_state(before)


STATE = State()


class DeviceTensor(Tensor):
    """A tensor on the device; its numbers are in ``inner``, a tensor on the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    device, is_cuda, is_cpu = DEVICE, True, False

    @staticmethod
    def __new__(cls, inner):
        if inner.dtype == torch.float64 and not STATE.has_float64:
            raise TypeError("the device has no float64")
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        tensor = Tensor._make_wrapper_subclass(cls, inner.size(), **layout, device="cpu")
        tensor.inner = inner
        return tensor

    def __tensor_flatten__(self):
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner, *rest):
        return DeviceTensor(inner["inner"])

    def __repr__(self):
        return f"DeviceTensor({self.inner})"

    def __reduce_ex__(self, protocol):
        if not STATE.is_saving:  # `pickle` of a tensor holds what `torch.save` writes
            buffer = io.BytesIO()
            torch.save(self, buffer)
            return torch.storage._load_from_bytes, (buffer.getvalue(),)
        return rebuilt, (self.inner, str(DEVICE), self.requires_grad, getattr(self, "_is_param", False))

    def to(self, *args, **kwargs):
        return moved(self, *args, **kwargs)

    def cpu(self, *args, **kwargs):
        return moved(self, "cpu")

    def cuda(self, *args, **kwargs):
        return self

    def get_device(self):
        return 0

    def numpy(self, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor first.")

    def __array__(self, dtype=None, copy=None):
        return self.numpy()

    def tolist(self):
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        there, here = tensors_of([args, kwargs])
        check_devices(func, name, args, here)
        if waits(name, args, here):
            STATE.wait()
        draws = torch.Tag.nondeterministic_seeded in func.tags and generator_of(args, kwargs) is None
        with STATE.own_random() if draws else nullcontext():
            out = func(*inner(args), **inner(kwargs))
        return on_device(out, {id(t.inner): t for t in there} | {id(t): t for t in here})


class Move(torch.autograd.Function):
    """A copy on the other device; that of the gradient goes back."""

    @staticmethod
    def forward(ctx, x):
        return x.inner.clone() if isinstance(x, DeviceTensor) else DeviceTensor(x.clone())

    @staticmethod
    def backward(ctx, grad):
        return Move.apply(grad)


def rebuilt(values, place, requires_grad, is_param):
    """The tensor of a pickle, where ``map_location`` says."""
    where = torch.device(torch._utils._get_restore_location(place))
    if where.type == "cuda" and not STATE.is_there:
        raise RuntimeError("Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False.")
    tensor = DeviceTensor(values) if where.type == "cuda" else values
    return torch.nn.Parameter(tensor, requires_grad) if is_param else tensor.requires_grad_(requires_grad)


torch.serialization.add_safe_globals([rebuilt])


def moved(x, *args, **kwargs):
    """`Tensor.to`."""
    other = kwargs.pop("other", args[0] if args and isinstance(args[0], Tensor) else None)
    if other is not None:
        args, kwargs = (), kwargs | {"device": other.device, "dtype": other.dtype}
    copy = kwargs.pop("copy", False)
    device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
    if dtype is not None or memory_format is not None:
        x = Tensor.to(x, dtype=dtype or x.dtype, memory_format=memory_format or torch.preserve_format)
    is_there = isinstance(x, DeviceTensor)
    if device is None or (device.type == "cuda") == is_there:
        return x.clone() if copy else x
    if is_there and non_blocking:
        raise AssertionError("a copy to the host that does not wait: its numbers are not there yet")
    if is_there or not non_blocking:
        STATE.wait()
    else:
        STATE.copies.append((x.detach(), x.detach().clone()))
    return Move.apply(x)


def tensors_of(value):
    """Tensors of nested arguments: those on the device, and those on the CPU."""
    there, here = [], []
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, Tensor):
            (there if isinstance(item, DeviceTensor) else here).append(item)
        elif isinstance(item, (list, tuple, dict)):
            for own, more in zip((there, here), tensors_of(item), strict=True):
                own.extend(more)
    return there, here


def inner(value):
    """Nested arguments with the tensors on the CPU that hold the numbers."""
    if isinstance(value, DeviceTensor):
        return value.inner
    if isinstance(value, dict):
        return {key: inner(item) for key, item in value.items()}
    return type(value)(map(inner, value)) if type(value) in (list, tuple) else value


def on_device(value, known):
    """Tensors of a result on the device; those that were handed in are handed back."""
    if isinstance(value, Tensor):
        return known[id(value)] if id(value) in known else DeviceTensor(value)
    return type(value)(on_device(item, known) for item in value) if type(value) in (list, tuple) else value


def generator_of(args, kwargs):
    """The generator that an operation is given, or None."""
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, torch._C.Generator)), None)


def check_devices(func, name, args, here):
    """Raise RuntimeError where a tensor of the CPU takes part that may not."""
    if name == "copy_" or not here or STATE.all_there:
        return
    indices = [id(index) for index in args[1] if index is not None] if name in INDEXED else []
    takes_numbers = torch.Tag.pointwise in func.tags or name in TAKE_NUMBERS or name.startswith("_foreach")
    wrong = [t for t in here if id(t) not in indices and (t.ndim > 0 or not takes_numbers)]
    of_first = [args[0]] if isinstance(args[0], Tensor) else args[0]
    is_first = (func._schema.is_mutable or indices) and any(t is first for t in here for first in of_first)
    if wrong or is_first:
        found = "found at least two devices, cuda:0 and cpu!"
        raise RuntimeError(f"Expected all tensors to be on the same device, but {found} ({name})")


def waits(name, args, here):
    """Whether the host waits for the device in an operation."""
    if name not in INDEXED:
        return name in WAIT or (name == "copy_" and bool(here))
    number = len(args) > 2 and isinstance(args[2], Tensor) and args[2].numel() == 1  # x[mask] = number does not wait
    indices = [index for index in args[1] if index is not None]
    on_host = any(not isinstance(index, DeviceTensor) for index in indices)
    return on_host or (any(index.dtype in (torch.bool, torch.uint8) for index in indices) and not number)
