"""Where float64 lives."""

from contextlib import nullcontext

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from noisyflywheel.data import DatasetSource, devices, float64_device, reading


class Rows(list):
    """Row numbers whose values may be looked at where tensors are fake."""

    def tolist(self):
        return self


def test_float64_lives_on_the_device_but_for_mps():
    for name in ("cpu", "cuda:1", "meta"):
        assert float64_device(torch.device(name)) == torch.device(name)
    assert float64_device(torch.device("mps")) == torch.device("cpu")


def test_rows_of_a_dataset_are_float32_where_there_is_no_float64(fake_cuda, monkeypatch):
    monkeypatch.setattr(reading, "check_items", lambda items, indices: None)  # looks at values
    monkeypatch.setattr(reading, "globals_kept", lambda: nullcontext([]))  # so does this
    monkeypatch.setattr(devices, "WITHOUT_FLOAT64", ("cuda",))  # stands for MPS, of which there are no fake tensors
    items = [torch.full((2,), float(i), dtype=torch.float64) for i in range(4)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        taken = DatasetSource(items, torch.device("cuda")).take(Rows([1, 3]))
    assert (taken.device.type, taken.dtype, tuple(taken.shape)) == ("cuda", torch.float32, (2, 2))
