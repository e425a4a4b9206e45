"""Fingerprints: any change of data or parameters shows, no change does not, in every process alike."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from test_contents import in_all, of
from torch import nn
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.data import lazy
from noisyflywheel.data.lazy import LazyRows, OnDisk
from noisyflywheel.nets.prepare import default_net
from noisyflywheel.persistence import contents, data_fingerprint, fit_key, parameter_fingerprint, state_fingerprint
from noisyflywheel.views import VectorViews

X = torch.arange(24, dtype=torch.float32).reshape(8, 3)
CODES = np.arange(8) % 2
CLASSES = np.array(["a", "b"])


def test_data_fingerprint_sees_every_byte_shape_type_label_and_class():
    base = data_fingerprint(X, CODES, CLASSES)
    assert base == data_fingerprint(X.clone(), CODES.copy(), CLASSES.copy())
    changed = X.clone()
    changed[5, 1] = torch.nextafter(changed[5, 1], torch.tensor(99.0))
    others = [
        data_fingerprint(changed, CODES, CLASSES),
        data_fingerprint(X.reshape(4, 6), CODES, CLASSES),
        data_fingerprint(X.view(torch.int32), CODES, CLASSES),
        data_fingerprint(X.flip(0), CODES, CLASSES),
        data_fingerprint(X, 1 - CODES, CLASSES),
        data_fingerprint(X, CODES, np.array(["a", "c"])),
        data_fingerprint(X, CODES, np.array([0, 1])),
    ]
    assert len({base, *others}) == 8


def test_data_fingerprint_does_not_see_strides():
    x = torch.randint(256, (50, 3, 4, 4), dtype=torch.uint8)
    base = data_fingerprint(x, CODES, CLASSES)
    assert data_fingerprint(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), CODES, CLASSES) == base


@pytest.mark.parametrize("i", [0, 1, 998, 999])
def test_data_fingerprint_sees_every_row_on_disk(monkeypatch, i):
    """Every fourth was looked at, and another fit's checkpoint was taken."""
    monkeypatch.setattr(lazy, "BLOCK_NUMBERS", 300)
    x = np.random.default_rng(0).normal(size=(1000, 3))
    changed = x.copy()
    changed[i, 2] += 1.0
    on_disk = (x, np.asfortranarray(x), changed, x[:-1], x.reshape(500, 6), x.view(np.int64))
    base, same, *others = (data_fingerprint(LazyRows(OnDisk(array)), CODES, CLASSES) for array in on_disk)
    assert base == same
    assert len({base, *others}) == 5


@pytest.mark.parametrize("i", range(50))
def test_data_fingerprint_sees_every_chunk(monkeypatch, i):
    monkeypatch.setattr(contents, "CHUNK", 7 * 48)
    x = torch.zeros(50, 3, 4, 4, dtype=torch.uint8)
    base = data_fingerprint(x, CODES, CLASSES)
    x[i, 2, 3, 3] = 1
    assert data_fingerprint(x, CODES, CLASSES) != base


@pytest.mark.parametrize("x", [torch.zeros(0, 3), torch.zeros(3, 0), torch.tensor(1.0), torch.zeros(2).bfloat16()])
def test_tensors_of_every_shape_and_type_have_a_fingerprint(x):
    assert data_fingerprint(x, CODES, CLASSES) == data_fingerprint(x.clone(), CODES, CLASSES)
    assert data_fingerprint(x, CODES, CLASSES) != data_fingerprint(x[None], CODES, CLASSES)


def test_datasets_by_length_and_items():
    a = data_fingerprint(TensorDataset(X, torch.zeros(8)), CODES, CLASSES)
    assert a == data_fingerprint(TensorDataset(X.clone(), torch.zeros(8)), CODES, CLASSES)
    assert a == data_fingerprint(list(X.numpy()), CODES, CLASSES)
    assert a != data_fingerprint(TensorDataset(X[:7], torch.zeros(7)), CODES, CLASSES)
    assert a != data_fingerprint(TensorDataset(X + 1, torch.zeros(8)), CODES, CLASSES)


def params(**changes):
    return FlywheelClassifier(**changes).get_params(deep=False)


def net(**kwargs):
    return NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, train_split=None, **kwargs)


def test_parameters_that_decide_a_fit_show():
    variants = [
        parameter_fingerprint(p, seeds)
        for p, seeds in [
            (params(), None),
            (params(), [1, 2, 3]),
            (params(n_cycles=3), None),
            (params(views=None), None),
            (params(views=VectorViews()), None),
            (params(views=VectorViews(noise=0.1)), None),
            (params(main_net=net()), None),
            (params(aux_net=net()), None),
            (params(main_net=net(lr=0.2)), None),
            (params(main_net=net(module__hidden=(3,))), None),
            (params(main_net=net(optimizer=torch.optim.Adam)), None),
            (params(main_net=net(callbacks=[LRScheduler("StepLR", step_size=3)])), None),
            (params(main_net=net(callbacks=[LRScheduler("StepLR", step_size=4)])), None),
        ]
    ]
    assert len(set(variants)) == len(variants)


def test_parameters_that_change_no_result_do_not_show(tmp_path):
    base = parameter_fingerprint(params(main_net=net()))
    assert base == parameter_fingerprint(params(main_net=net(), verbose=1, checkpoint_dir=tmp_path))
    assert base == parameter_fingerprint(params(main_net=net(), on_cycle=print, device="cpu"))


def test_what_is_shared_in_memory_does_not_show():
    shared = (0.5, "a", [1, (2, 3)])
    apart = (0.5, "a", [1, (2, 3)])
    a = params(main_net=net(module__one=shared, module__two=shared))
    b = params(main_net=net(module__one=apart, module__two=(0.5, "a", [1, (2, 3)])))
    assert parameter_fingerprint(a) == parameter_fingerprint(b)


def test_weights_of_a_module_instance_count():
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    a = parameter_fingerprint(params(main_net=NeuralNetClassifier(layer)))
    with torch.no_grad():
        layer.weight += 1
    assert parameter_fingerprint(params(main_net=NeuralNetClassifier(layer))) != a


def test_instances_with_the_same_weights_are_told_apart():
    def of(module):
        return parameter_fingerprint(params(main_net=NeuralNetClassifier(module)))

    def module(activation, p=0.1):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 2), activation, nn.Dropout(p))

    frozen = module(nn.ReLU())
    frozen[0].bias.requires_grad_(False)
    variants = [module(nn.ReLU()), module(nn.Tanh()), module(nn.ReLU(), 0.8), frozen]
    assert len({of(variant) for variant in variants}) == 4 and of(module(nn.ReLU())) == of(variants[0])


def test_views_are_told_apart_by_all_that_they_hold():
    prints = {parameter_fingerprint(params(views=SimpleNamespace(how={"sigma": s}))) for s in (0.01, 5.0, 0.01)}
    assert len(prints) == 2


def test_the_same_in_another_process():
    """Whose hashes of strings and addresses are others; and so for the contents of values of many kinds."""
    code = (
        "from test_contents import in_all, of\n"
        "from noisyflywheel import FlywheelClassifier as F\n"
        "from noisyflywheel.persistence import parameter_fingerprint as p\n"
        "from noisyflywheel.nets.prepare import default_net as d\n"
        "print(p(F(main_net=d(False, 500, 'cpu')).get_params(deep=False), [1]), hash('a'))\n"
        "print(*map(of, in_all(1).values()))"
    )
    env = os.environ | {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    folder = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, env=env, cwd=folder)
    first, contents = done.stdout.splitlines()
    assert contents.split() == [*map(of, in_all(1).values())]
    theirs, their_hash = first.split()
    assert theirs == parameter_fingerprint(params(main_net=default_net(False, 500, "cpu")), [1]) and len(theirs) == 32
    assert int(their_hash) != hash("a")


def test_state_fingerprint_sees_every_value_and_not_how_it_lies_in_memory():
    def of(weight, rate):
        return state_fingerprint([{"weight": weight, "rate": rate}])

    weight = torch.arange(6.0).reshape(2, 3)
    assert of(weight, 0.1) == of(weight.T.clone().T, 0.1)
    assert len({of(weight, 0.1), of(weight, 0.2), of(weight + 1, 0.1), of(weight.double(), 0.1)}) == 4


def test_fit_key():
    assert fit_key("a", "b") != fit_key("b", "a")
