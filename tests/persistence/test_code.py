"""Code of functions and classes: what they do shows, where it stands does not; that of packages counts by name."""

import functools
import itertools
import sys

import joblib
import numpy as np
import pytest
import sklearn.linear_model
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from noisyflywheel.backbones import MLP
from noisyflywheel.persistence.code import counts_by_code
from noisyflywheel.persistence.contents import described
from noisyflywheel.recipes import cifar10


def of(value):
    return joblib.hash(described(value))


def written(source, name="made", file="<cell>"):
    """What a cell of a notebook makes, under the same name each time."""
    module = {"__name__": "__main__", "nn": nn, "functools": functools, "torch": torch}
    exec(compile(source, file, "exec"), module)
    return module[name]


IN_CLASS = {
    "method": "def forward(self, x): return {}(x)",
    "nested function": "def forward(self, x): return (lambda z: z.{}())(x)",
    "constant": "def forward(self, x): return x.mul({!r})",
    "default": "def forward(self, x, how={!r}): return x",
    "handler": "def forward(self, x):\n  try: return x\n  except {}: return 0",
    "static method": "@staticmethod\n def made(x): return x.{}()",
    "class method": "@classmethod\n def made(cls, x): return x.{}()",
    "property": "@property\n def made(self): return self.x.{}()",
    "kept property": "@functools.cached_property\n def made(self): return self.x.{}()",
    "decorated": "@torch.no_grad()\n def forward(self, x): return x.{}()",
    "called": "def __call__(self, x): return x.{}()",
    "attribute": "width = {!r}",
    "inner class": "class Inner:\n  width = {!r}",
    "table": "widths = [8, {{'a': {!r}}}]",
}

CELLS = {
    "lambda": "made = lambda x: x.{}()",
    "function": "def made(x): return x.{}()",
    "keyword default": "def made(x, *, how={!r}): return x",
    "cached": "@functools.cache\ndef made(x): return x.{}()",
    "partial": "made = functools.partial(lambda x, y: x.{}(), y=1)",
    "set": "def made(x): return x in {{'a', 'b', {!r}}}",
    "helper": "def help(x): return x.{}()\ndef made(x): return help(x)",
    "helper's helper": "def last(x): return x.{}()\ndef help(x): return last(x)\ndef made(x): return help(x)",
    "block": "class Block:\n def f(self): return {!r}\nclass made:\n def __init__(self): self.b = Block()",
    "base": "class Base:\n def f(self): return {!r}\nclass made(Base): pass",
    "global number": "width = {!r}\ndef made(): return nn.Linear(6, width)",
    "global table": "how = {{'width': [{!r}]}}\ndef made(): return nn.Linear(6, *how['width'])",
    "renamed": "act = nn.{}\ndef made(): return act()",
    "instance": "class Own:\n def f(self): return {!r}\nmade = Own()",
    "module": "class Own(nn.Module):\n def forward(self, x): return x.{}()\nmade = nn.Sequential(Own())",
}

WORDS = {"handler": ("TypeError", "ValueError"), "renamed": ("ReLU", "Tanh")}


@pytest.mark.parametrize("kind", [*IN_CLASS, *CELLS])
def test_what_code_of_ones_own_does_shows(kind):
    cell = CELLS.get(kind) or f"class made(nn.Module):\n {IN_CLASS[kind]}"
    one, other = WORDS.get(kind, ("relu", "tanh"))
    assert of(written(cell.format(one))) == of(written(cell.format(one))) != of(written(cell.format(other)))


@pytest.mark.parametrize("kind", CELLS)
def test_where_it_stands_does_not_show(kind):
    cell = CELLS[kind].format("ReLU")
    assert of(written(cell)) == of(written(f"# a remark\n\n{cell}", file="/elsewhere/cell.py"))


def test_what_runs_and_is_pickled_is_the_same_as_before():
    made = written("def made(x):\n y = x + 1\n return [z * y for z in range(3)]")
    before = of(made)
    for i in range(1000):
        made(i)
    Own = written("class Own:\n __slots__ = ('a',)", "Own")
    described_before = of(Own)
    Own().__reduce_ex__(2)  # leaves a note of its slots in the class
    assert of(made) == before and of(Own) == described_before


FILLING = {
    "calls.append": "def made(x): calls.append(x)",
    "calls by number": "def made(x): calls[0] += x",
    "n": "def made(x):\n global n\n n += 1",
    "seen.update": "def made(x): seen.update(a=x)",
    "seen by key": "def made(x): seen[x] = 1",
    "closure": "def make():\n kept = [0]\n def run(x): kept.append(x)\n return run\nmade = make()",
    "counter": "def make():\n k = 0\n def run(x):\n  nonlocal k\n  k += 1\n return run\nmade = make()",
    "class": "def make():\n kept = []\n class O:\n  def __call__(self, x): kept.append(x)\n return O()\nmade = make()",
}


@pytest.mark.parametrize("kind", FILLING)
def test_records_that_a_function_keeps_do_not_show(kind):
    """Otherwise a fit that was interrupted in a notebook would begin anew."""
    made = written(f"calls, seen, n = [0], {{}}, 0\n{FILLING[kind]}")
    before = of(made)
    made(3)
    assert of(made) == before


def test_installed_packages_and_the_library_count_by_name():
    assert described(nn.Linear) == "torch.nn.modules.linear.Linear"
    assert described(functools.wraps) == "functools.wraps"
    assert described([sys.intern, np.exp, torch.relu]) == described([sys.intern, np.exp, torch.relu])
    assert described(cifar10) == "noisyflywheel.recipes.cifar10"
    assert described(MLP) == "noisyflywheel.backbones.mlp.MLP"
    assert not any(map(counts_by_code, (itertools.chain, object, sklearn.linear_model.Ridge, joblib.hash, MLP)))
    assert all(map(counts_by_code, (of, written("class made: pass"), lambda: 0)))


def test_a_module_that_is_not_loaded_is_ones_own():
    made = written("def made(): return 1")
    for module in ("of_nowhere.else", None, "__mp_main__"):
        made.__module__ = module
        assert counts_by_code(made)


def test_classes_that_refer_to_themselves_and_each_other():
    cell = (
        "class A:\n def make(self): return A(), B(), {}\n"
        "class B(A):\n def make(self): return super().make(), A()\n"
        "def count(n): return count(n - 1) if n else B\n"
    )
    assert of(written(cell.format(1), "count")) == of(written(cell.format(1), "count"))
    for name in ("A", "B", "count"):
        assert of(written(cell.format(1), name)) != of(written(cell.format(2), name))


def test_what_cannot_be_looked_into_counts_by_its_name():
    class Refuses:
        def __getattribute__(self, name):
            raise OSError(name)

    class Own:
        refuses = Refuses()

    assert described(Own) == f"{__name__}.test_what_cannot_be_looked_into_counts_by_its_name.<locals>.Own"


def fitted(scale):
    return StandardScaler().fit(np.arange(6.0).reshape(3, 2) * scale)


KEPT = {
    "frozen": FrozenEstimator,
    "frozen step": lambda scaler: make_pipeline(FrozenEstimator(make_pipeline(scaler, "passthrough"))),
    "method": lambda scaler: FunctionTransformer(scaler.transform),
    "held": lambda scaler: FunctionTransformer(lambda X: scaler.transform(X)),
    "partial": lambda scaler: FunctionTransformer(functools.partial(StandardScaler.transform, scaler)),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_estimators_have_learnt_shows_where_they_are_not_cloned(kind):
    make = KEPT[kind]
    assert of(make(fitted(1))) == of(make(fitted(1))) != of(make(fitted(2)))


def test_what_estimators_have_learnt_does_not_show_where_they_are_cloned():
    assert of(make_pipeline(fitted(1))) == of(make_pipeline(fitted(2))) == of(make_pipeline(StandardScaler()))
