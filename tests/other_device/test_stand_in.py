"""The stand-in refuses what a CUDA device refuses, and lets through what that lets through."""

import copy
import warnings

import numpy as np
import pytest
import torch
from device_tensor import STATE
from torch import nn
from torch.nn import functional as F

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture
def there():
    return torch.arange(6.0, device="cuda").view(2, 3)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda there, here: there + here,
        lambda there, here: here.add_(there),
        lambda there, here: here.mul_(there.sum()),
        lambda there, here: there @ here.T,
        lambda there, here: torch.cat([there, here]),
        lambda there, here: torch.stack([there[0, 0], torch.tensor(1.0)]),
        lambda there, here: torch.where(there > 0, there, here),
        lambda there, here: here[torch.tensor([0], device="cuda")],
        lambda there, here: there.index_put_((torch.tensor([0]),), here[:1]),
        lambda there, here: there.gather(1, torch.tensor([[0], [1]])),
        lambda there, here: F.cross_entropy(there, torch.tensor([0, 1])),
        lambda there, here: nn.Linear(3, 2)(there),
    ],
)
def test_two_devices_are_refused(mixed, there):
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        mixed(there, torch.ones(2, 3))


def test_numbers_and_indices_of_the_cpu_are_taken(there):
    assert (there * torch.tensor(2.0)).tolist() == [[0, 2, 4], [6, 8, 10]]
    assert there[torch.tensor([1])].tolist() == [[3, 4, 5]]
    there[there > 3] = torch.tensor(0.0)
    assert F.one_hot(torch.tensor([1, 0], device="cuda"), 2).device.type == there.new_ones(1).device.type == "cuda"
    assert there.tolist() == [[0, 1, 2], [3, 0, 0]]


@pytest.mark.parametrize("read", [lambda x: x.numpy(), np.asarray, lambda x: np.array([x, x])])
def test_numpy_is_refused(read, there):
    with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
        read(there)
    assert there.cpu().numpy().shape == (2, 3)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(3, generator=torch.Generator(), device="cuda"),
        lambda: torch.randperm(3, generator=torch.Generator("cuda")),
        lambda: torch.zeros(3, device="cuda").uniform_(generator=torch.Generator()),
        lambda: torch.bernoulli(torch.ones(3, device="cuda"), generator=torch.Generator()),
    ],
)
def test_a_generator_of_the_other_device_is_refused(draw):
    with pytest.raises(RuntimeError, match="Expected a '.*' device type for generator but found"):
        draw()


def test_the_device_has_a_random_state_of_its_own():
    host, there = torch.get_rng_state(), torch.cuda.get_rng_state()
    one = F.dropout(torch.ones(50, device="cuda")) + torch.rand(50, device="cuda")
    assert torch.equal(torch.get_rng_state(), host)
    torch.cuda.set_rng_state(there)
    assert torch.equal(one, F.dropout(torch.ones(50, device="cuda")) + torch.rand(50, device="cuda"))


def test_memory_that_is_overwritten_before_its_copy_has_ended_is_noticed():
    memory = torch.ones(3, pin_memory=True)
    taken = memory.to("cuda", non_blocking=True)
    memory.zero_()
    with pytest.raises(AssertionError, match="before a copy of it to the device had ended"):
        taken.sum().item()
    with pytest.raises(AssertionError, match="does not wait"):
        taken.to("cpu", non_blocking=True)


def test_what_waits_is_told(there, monkeypatch):
    monkeypatch.setattr(STATE, "warns", True)
    for read in (lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: x[torch.tensor([0])], lambda x: x.cpu()):
        with pytest.warns(UserWarning, match="called a synchronizing CUDA operation"):
            read(there)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        there[there > 3] = 0.0
        there[0].add_(torch.ones(3).to("cuda", non_blocking=True))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
def test_a_module_learns_what_it_learns_on_the_cpu(optimizer):
    torch.manual_seed(0)
    here = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    there = copy.deepcopy(here)
    weights = list(there.parameters())
    assert all(before is after for before, after in zip(weights, there.to("cuda").parameters(), strict=True))
    x, y = torch.randn(20, 3), torch.arange(20) % 2
    for module, device in ((here, "cpu"), (there, "cuda")):
        steps = optimizer(module.parameters(), lr=0.1)
        for _ in range(3):
            steps.zero_grad()
            F.cross_entropy(module(x.to(device)).cpu().to(device), y.to(device)).backward()
            steps.step()
            steps.load_state_dict(copy.deepcopy(steps.state_dict()))
    for a, b in zip(here.state_dict().values(), there.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b.cpu())


def test_it_is_gone_afterwards(stand_in):
    with stand_in.away():
        assert not torch.cuda.is_available()
        assert torch.Generator is torch._C.Generator
        assert torch.ones(3).device.type == "cpu"
    assert torch.cuda.is_available()
