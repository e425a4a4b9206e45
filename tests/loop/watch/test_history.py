"""Figures of a cycle by hand, and its laps."""

import math
import time

import pytest
import torch

from noisyflywheel.loop.watch.history import Clock, history_row


def test_history_row_by_hand():
    f_prob = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.4, 0.35, 0.25], [0.1, 0.8, 0.1]])
    row = history_row(f_prob, torch.tensor([0, 1, 0, 1]))
    entropies = [-sum(p * math.log(p) for p in row if p > 0) for row in f_prob.tolist()]
    assert row == pytest.approx({"agreement": 0.75, "max_class_share": 0.75, "f_entropy": sum(entropies) / 4})
    assert all(isinstance(value, float) for value in row.values())


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
