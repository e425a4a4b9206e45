"""Copies of memory that is let go at once wait for their end, but on CUDA: MPS would read it too late."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils.data import TensorDataset

from noisyflywheel.data import ArraySource, DatasetSource, batches
from noisyflywheel.data.devices import moved
from noisyflywheel.views import mixup

META = torch.device("meta")


class Copies(TorchFunctionMode):
    """Takes down which copies do not wait."""

    def __init__(self):
        super().__init__()
        self.without_waiting = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is Tensor.to:
            self.without_waiting.append(torch._C._nn._parse_to(*args[1:], **kwargs or {})[2])
        return func(*args, **kwargs or {})


@pytest.mark.parametrize(("device", "without"), [("cuda", True), ("meta", False)])
def test_only_cuda_copies_without_waiting(fake_cuda, device, without):
    with FakeTensorMode(), Copies() as copies:
        assert moved(torch.zeros(2), torch.device(device)).device.type == device
    assert copies.without_waiting == [without]


def test_rows_orders_and_partners_are_waited_for():
    x = torch.zeros(4, 2)
    with Copies() as copies:
        mixup(x.to(META), x.to(META), 1.0, torch.Generator())
        list(batches(torch.arange(4).to(META), 2, torch.Generator()))
        ArraySource(x, META).take(torch.arange(2))
        DatasetSource(TensorDataset(x), META).take(torch.arange(2))
    assert len(copies.without_waiting) >= 8
    assert not any(copies.without_waiting)
