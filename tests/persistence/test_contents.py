"""Values as nested lists: what differs shows, addresses and sharing do not, in every process alike."""

import functools
import logging
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from noisyflywheel.persistence.contents import described


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


class Scaled:
    """Has a method that is handed on."""

    def __init__(self, by):
        self.by = by

    def times(self, x):
        return self.by * x


class Functional(nn.Module):
    """Its attributes are no modules."""

    def __init__(self, activation=F.relu, p=0.1):
        super().__init__()
        self.activation, self.config = activation, SimpleNamespace(p=p)


def made_in(i):
    class Own:
        known = {"a", "b", "c"}

        def __call__(self, x):
            return Own if x in {"a", "b", i} else None

    return Own()


def closure(by, shift=0):
    return lambda x, shift=shift: by * x + shift


def of(value):
    return joblib.hash(described(value))


def in_all(i):
    """Values of many kinds, all of which hold ``i``."""
    return {
        "dict in a list": [{"sigma": i}],
        "nested": SimpleNamespace(a=SimpleNamespace(b=[(i,)])),
        "slots": SimpleNamespace(a=Slotted(i)),
        "partial": SimpleNamespace(f=functools.partial(max, i)),
        "keywords": functools.partial(max, key=i),
        "method": Scaled(i).times,
        "closure": closure(i),
        "default": closure(1, shift=i),
        "code": made_in(i),
        "module": SimpleNamespace(net=nn.Dropout(i / 10)),
        "attribute of a module": Functional(p=i),
        "weights": nn.Parameter(torch.full((2,), float(i))),
        "set of objects": {Fraction(i, 7), Fraction(1, 3)},
        "keys": {(Fraction(i, 7),): 1},
        "array": SimpleNamespace(a={"x": np.arange(i)}),
        "table": SimpleNamespace(a=pd.DataFrame({"x": [i]})),
        "generator": SimpleNamespace(a=np.random.default_rng(i)),
        "path": SimpleNamespace(a=Path(f"folder/{i}")),
        "logger": SimpleNamespace(a=logging.getLogger(f"of.{i}")),
        "list of a class": SimpleNamespace(a=pd.Index([i])),
    }


@pytest.mark.parametrize("kind", in_all(1))
def test_what_a_value_holds_shows(kind):
    assert of(in_all(1)[kind]) == of(in_all(1)[kind]) != of(in_all(2)[kind])


def test_functions_of_a_module_show():
    assert of(Functional(F.relu)) != of(Functional(F.gelu))


def test_addresses_do_not_show():
    unlike_any = [threading.Lock(), (i for i in ()), object(), np, lambda x: x]
    assert "0x" not in repr(described([unlike_any, SimpleNamespace(all=unlike_any)]))
    assert of(SimpleNamespace(lock=threading.Lock())) == of(SimpleNamespace(lock=threading.Lock()))


def test_modules_without_shapes_are_described_without_the_numbers_of_their_hooks():
    assert of(nn.LazyLinear(3)) == of(nn.LazyLinear(3)) != of(nn.LazyLinear(3, dtype=torch.float64))


def test_what_a_value_is_in_the_middle_of_ends_it():
    one, other = SimpleNamespace(name="a"), SimpleNamespace(name="b")
    one.other, other.one = other, one
    items = [one]
    items.append(items)
    first = of(items)
    other.name = "c"
    assert of(items) != first


def test_long_chains_and_many_references_are_soon_described():
    chain = None
    for _ in range(5000):
        chain = SimpleNamespace(next=chain)
    crowd = [SimpleNamespace() for _ in range(40)]
    for member in crowd:
        member.others = crowd
    assert len(of([chain, crowd])) == 32


def test_what_is_shared_in_memory_does_not_show():
    def make():
        return SimpleNamespace(a={"b": [1.5, "x"]})

    shared = make()
    assert of([shared, shared]) == of([make(), make()])


def test_what_torch_compile_adds_to_a_module_does_not_show():
    class Compiled(nn.Module):
        __module__ = "torch._dynamo.eval_frame"

    one, other = Compiled(), Compiled()
    one.compiler, other.compiler = 1, 2
    assert of(one) == of(other)
