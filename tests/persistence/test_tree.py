"""Nested states without pickle: exact round trips, and refusal of what cannot be stored."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from noisyflywheel.persistence import (
    CheckpointError,
    Flat,
    flatten,
    load_checkpoint,
    save_checkpoint,
    unflatten,
)


def through_disk(state, path):
    flat = flatten(state)
    save_checkpoint(path, flat.tensors, flat.arrays, {"tree": flat.tree})
    loaded = load_checkpoint(path)
    return unflatten(Flat(loaded.tensors, loaded.arrays, loaded.meta["tree"]))


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
    assert same(unflatten(flatten(state)), state)


def test_optimizer_state_through_the_disk(tmp_path):
    layer = torch.nn.Linear(3, 2)
    for make in (torch.optim.AdamW, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True)):
        optimizer = make(layer.parameters())
        layer(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        state = optimizer.state_dict()
        assert same(through_disk(state, tmp_path), state)


def test_numpy_scalars_become_python_values():
    assert unflatten(flatten([np.float32(0.5), np.int64(3), np.bool_(True)])) == [0.5, 3, True]


@pytest.mark.parametrize(
    "value", [object(), print, {1, 2}, b"raw", 1j], ids=["object", "print", "set", "bytes", "complex"]
)
def test_what_cannot_be_stored_is_named(value):
    with pytest.raises(TypeError, match=r"a\.0 is a \w+, which a checkpoint cannot hold"):
        flatten({"a": [value]})


@pytest.mark.parametrize(
    "tree",
    [
        {"$tensor": "gone"},
        {"$tensor": ["x"]},
        {"$array": None},
        {"$tuple": 3},
        {"$dict": [[1]]},
        {"$dict": [[{"a": 1}, 2]]},
        {"$float": "__import__('os')"},
        {"$python": "os.system"},
    ],
)
def test_trees_that_do_not_fit_are_an_error(tree):
    with pytest.raises(CheckpointError, match="here: damaged"):
        unflatten(Flat({}, {}, tree), "here")
