"""Nested states without pickle: exact round trips, and refusal of what cannot be stored."""

import math
from collections import OrderedDict

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings

from noisyflywheel.persistence import load_checkpoint, save_checkpoint
from noisyflywheel.persistence.values import decode, encode


def through_disk(state, path):
    save_checkpoint(path, {"state": state})
    return load_checkpoint(path)["state"]


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.builds(lambda v: torch.tensor(v), st.lists(st.floats(width=32, allow_nan=False), max_size=3))
    | st.builds(lambda v: np.array(v, dtype=np.int64), st.lists(st.integers(-9, 9), max_size=3))
)  # fmt: skip
KEYS = st.text(alphabet="ab.$#1", max_size=3) | st.integers(-3, 3) | st.tuples(st.integers(0, 1), st.text(max_size=1))
STATES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(STATES)
def test_every_state_comes_back_as_it_was(state):
    assert same(decode(encode(state)), state)


@settings(deadline=None, max_examples=100)
@given(STATES)
def test_every_state_comes_back_from_a_file(tmp_path_factory, state):
    assert same(through_disk(state, tmp_path_factory.getbasetemp() / "states"), state)


def test_optimizer_state_through_the_disk(tmp_path):
    layer = torch.nn.Linear(3, 2)
    for make in (torch.optim.AdamW, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True)):
        optimizer = make(layer.parameters())
        layer(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        state = optimizer.state_dict()
        assert same(through_disk(state, tmp_path), state)


ARRAYS = [
    np.array(["a", "é", ""]),
    np.zeros((0, 3), "U"),
    np.array(["2020-01-01"], "M8[ns]"),
    np.array(3),
    np.arange(6.0).reshape(2, 3).T[::-1],
    np.array([1, 2], ">i4"),
    np.array([True, False]),
    np.array([None, "a", 1.5, 2, True], dtype=object),
    np.zeros(0, dtype=object),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.str)
def test_arrays_of_every_type(tmp_path, array):
    array.flags.writeable = False  # as pandas hands them out
    found = through_disk(array, tmp_path)
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.flags.writeable


def test_tables_with_names_and_order(tmp_path):
    frame = pd.DataFrame({"b": [1, 2], 3: ["x", None], ("c", 1): [0.5, np.nan]}, index=["p", "q"])
    pd.testing.assert_frame_equal(through_disk(frame, tmp_path), frame)


def test_numpy_scalars_become_python_values():
    assert decode(encode([np.float32(0.5), np.int64(3), np.bool_(True)])) == [0.5, 3, True]


def test_a_part_of_a_large_tensor_does_not_bring_the_rest(tmp_path):
    path = save_checkpoint(tmp_path, {"row": torch.zeros(1000, 1000)[3]})
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize(
    "value",
    [object(), print, {1, 2}, b"raw", 1j, np.datetime64("2020-01-01"), np.array([1 + 2j, None]), np.zeros(2, "i4,f4")],
    ids=["object", "print", "set", "bytes", "complex", "datetime", "objects", "record"],
)
def test_what_cannot_be_stored_is_named(tmp_path, value):
    with pytest.raises(TypeError, match=r"state\.a\.0 (is|holds) an? .*which cannot be stored"):
        save_checkpoint(tmp_path / "x", {"a": [value]})
    assert not (tmp_path / "x").exists()


def test_keys_that_cannot_be_stored_are_named():
    with pytest.raises(TypeError, match=r"state\.a has the key None, which cannot be stored"):
        encode({"a": {None: 1}})


RAW = torch.zeros(16, dtype=torch.uint8)


@pytest.mark.parametrize(
    "stored",
    [
        OrderedDict(array=["|O", (2,), RAW]),
        OrderedDict(array=["<f8", (3,), RAW]),
        OrderedDict(array=["<f4", (5,), RAW]),
        OrderedDict(array=["os.system", (2,), RAW]),
        OrderedDict(array=3),
        OrderedDict(system=["ls"]),
        OrderedDict(),
        OrderedDict(a=1, b=2),
        OrderedDict(frame=[1, 2]),
        OrderedDict(times=[[1], "nowhere", ["n"]]),
        {("a", RAW): b"raw"},
        torch.Size([1]),
        torch.float32,
        torch.nn.Parameter(torch.zeros(2)),
        torch.zeros(2, device="meta"),
        torch.zeros(2, 2).to_sparse(),
    ],
)
def test_stored_values_that_are_none_are_refused(stored):
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(stored)
