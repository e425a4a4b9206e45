"""Figures of a cycle by hand, and its laps."""

import datetime
import math
import time
from enum import IntEnum

import numpy as np
import pytest
import torch

from noisyflywheel.loop.watch.history import Clock, history_row, measured


class Level(IntEnum):
    HIGH = 3


class Word(str):
    """A string that is more."""


def test_history_row_by_hand():
    f_prob = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.4, 0.35, 0.25], [0.1, 0.8, 0.1]])
    row = history_row(f_prob, torch.tensor([0, 1, 0, 1]))
    entropies = [-sum(p * math.log(p) for p in row if p > 0) for row in f_prob.tolist()]
    assert row == pytest.approx({"agreement": 0.75, "max_class_share": 0.75, "f_entropy": sum(entropies) / 4})
    assert all(isinstance(value, float) for value in row.values())


def test_scalars_of_torch_and_numpy_are_numbers_in_the_history():
    found = {"a": torch.tensor(0.5), "b": np.float32(0.25), "c": np.array(2), "d": np.int64(3), "e": np.True_}
    plain = {"f": 1, "g": None, "h": "text", "i": False}
    row = measured(found | plain)
    assert row == {"a": 0.5, "b": 0.25, "c": 2, "d": 3, "e": True} | plain
    assert [type(row[key]) for key in "abcde"] == [float, float, int, int, bool]
    members = {"of ints": Level.HIGH, "of strings": Word("good"), "long": np.longdouble(0.5)}
    of_members = measured(members)
    assert of_members == {"of ints": 3, "of strings": "good", "long": 0.5}
    assert [type(value) for value in of_members.values()] == [int, str, float]
    assert measured(None) == measured({}) == measured(False) == {}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([0.5], r"on_cycle must return a dict or None, got \[0.5\]"),
        ({"a": 1, 2: 3}, "on_cycle returned the key 2: keys are names"),
        ({"when": datetime.datetime(2020, 1, 1)}, "on_cycle returned a datetime under 'when'"),
        ({"each": torch.zeros(2)}, "on_cycle returned a Tensor under 'each'"),
        ({"each": np.zeros(1)}, "on_cycle returned a ndarray under 'each'"),
    ],
)
def test_what_the_history_cannot_hold_is_named(found, words):
    with pytest.raises(TypeError, match=words):
        measured(found)


def test_laps_are_seconds_since_the_last_one(monkeypatch):
    times = iter([10.0, 12.5, 13.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    clock = Clock(torch.device("cpu"))
    clock.lap("first")
    clock.lap("second")
    assert clock.laps == {"first": 2.5, "second": 0.5}


@pytest.mark.parametrize(("name", "expected"), [("cuda", ["cuda"]), ("cpu", [])])
def test_laps_wait_for_cuda_only(monkeypatch, name, expected):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(device.type))
    Clock(torch.device(name)).lap("first")
    assert waited == expected
