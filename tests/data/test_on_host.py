"""Where float64 lives, and what leaves a device before it is pickled."""

import pickle

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from noisyflywheel import FlywheelClassifier
from noisyflywheel.data import DatasetSource, devices, float64_device, on_host, sources


class OnDevice(torch.Tensor):
    """Stands for a tensor of a device that is not there: ``cpu`` makes a plain one of it."""

    def cpu(self):
        return self.as_subclass(torch.Tensor)


class Rows(list):
    """Row numbers whose values may be looked at where tensors are fake."""

    def tolist(self):
        return self


def on_device(*values):
    return torch.tensor(values).as_subclass(OnDevice)


def test_float64_lives_on_the_device_but_for_mps():
    for name in ("cpu", "cuda:1", "meta"):
        assert float64_device(torch.device(name)) == torch.device(name)
    assert float64_device(torch.device("mps")) == torch.device("cpu")


def test_nested_tensors_are_moved_and_the_rest_is_kept():
    cpu = torch.ones(2)
    value = {"a": [on_device(1.0), (on_device(2.0), "x")], 3: cpu, "n": None}
    moved = on_host(value)
    assert type(moved["a"][0]) is type(moved["a"][1][0]) is torch.Tensor
    assert moved["a"][1][1] == "x" and moved["n"] is None
    assert moved[3] is cpu
    assert type(value["a"][0]) is OnDevice


def test_a_pickle_of_a_warm_started_fit_holds_no_tensor_of_a_device():
    y = np.arange(30) % 3
    X = np.eye(3, dtype=np.float32)[y]
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, guard=False, warm_start=True, random_state=0).fit(X, y)
    clf._kept["snapshot"]["state"]["q"] = clf._kept["snapshot"]["state"]["q"].as_subclass(OnDevice)
    other = pickle.loads(pickle.dumps(clf))
    assert type(other._kept["snapshot"]["state"]["q"]) is torch.Tensor
    assert type(clf._kept["snapshot"]["state"]["q"]) is OnDevice
    other.fit(X, y)
    assert other.n_iter_ == 2


def test_rows_of_a_dataset_are_float32_where_there_is_no_float64(monkeypatch):
    monkeypatch.setattr(sources, "_check_items", lambda items, indices: None)  # looks at values
    monkeypatch.setattr(devices, "WITHOUT_FLOAT64", ("cuda",))  # stands for MPS, of which there are no fake tensors
    items = [torch.full((2,), float(i), dtype=torch.float64) for i in range(4)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        taken = DatasetSource(items, torch.device("cuda")).take(Rows([1, 3]))
    assert (taken.device.type, taken.dtype, tuple(taken.shape)) == ("cuda", torch.float32, (2, 2))
    assert DatasetSource(items, torch.device("cpu")).take(torch.tensor([1])).dtype == torch.float64
