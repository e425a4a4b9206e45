"""Plain attributes of objects of the user's own: what changes comes back, nothing else is touched."""

import collections
import enum

import numpy as np
import pytest
import torch
from torch import nn

from noisyflywheel.backbones import MLP
from noisyflywheel.nets.attributes import ChangedAttributes, is_nested_plain, is_own


class Counts:
    n = 0

    def __init__(self):
        self.device, self.records, self._hidden, self.late = "cpu", [{"a": 1}], 0, None
        self.x = torch.zeros(2)


def test_what_has_changed_comes_back():
    ours, theirs = Counts(), Counts()
    kept, other = ChangedAttributes({"c": ours}), ChangedAttributes({"c": theirs, "without": object.__new__(Counts)})
    ours.n, ours._hidden, ours.late, ours.x = 3, 1, 0.5, torch.ones(2)
    ours.records[0]["a"] = 2
    saved = kept.state_dict()
    assert saved == {"c": {"n": 3, "records": [{"a": 2}], "late": 0.5}}
    theirs.device = "cuda"
    other.load_state_dict(saved)
    assert (theirs.n, theirs.records, theirs.late, theirs._hidden) == (3, [{"a": 2}], 0.5, 0)
    assert torch.equal(theirs.x, torch.zeros(2))
    theirs.records.append(1)
    assert saved["c"]["records"] == [{"a": 2}]


def test_going_back_to_the_start_undoes_what_has_changed_since():
    ours = Counts()
    kept = ChangedAttributes({"c": ours})
    start = kept.state_dict()
    assert start == {}
    ours.n, ours.late, ours.device = 3, torch.ones(1), "cuda"
    kept.load_state_dict(start)
    assert "n" not in vars(ours) and ours.n == 0 and ours.device == "cpu"
    assert torch.equal(ours.late, torch.ones(1))  # no plain value now: what holds tensors is left alone


Pair = collections.namedtuple("Pair", "a b")
LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [enum.IntEnum("E", "a").a, np.array([None]), np.datetime64("2020"), 1j, {1.5: 1}, {1, 2}, Pair(1, 2), LOOP,
     collections.defaultdict(list), collections.Counter("a"), torch.zeros(2).to_sparse(), torch.zeros(1, device="meta"),
     np.zeros(1, "i4,f4"), object()],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_would_come_back_as_something_else_is_not_plain(value):
    assert not is_nested_plain([value])


@pytest.mark.parametrize("value", [None, True, 1, 0.5, "a", [(1, {"a": 2, 3: None})]])
def test_plain(value):
    assert is_nested_plain(value, arrays=False)


@pytest.mark.parametrize("value", [np.ones(2), np.float32(1), torch.ones(2), {"a": [torch.ones(2)]}])
def test_plain_with_arrays(value):
    assert is_nested_plain(value) and not is_nested_plain(value, arrays=False)


def test_own():
    assert is_own(Counts()) and not any(map(is_own, (nn.Linear(1, 1), MLP(1, 2), None, 3)))
