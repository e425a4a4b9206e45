"""What depends on the machine in the parts of a fit."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import Dataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.estimator.inputs.sample_weight import WeightedRows
from noisyflywheel.estimator.job import assemble as assembly
from noisyflywheel.estimator.job.assemble import assemble, bf16_pays, choose_nets, sample_of


class NoOperators:
    """`torch.ops.mkldnn` where torch was built without oneDNN, as for Apple silicon."""

    def __getattr__(self, name):
        raise AttributeError(f"'_OpNamespace' 'mkldnn' object has no attribute '{name}'")


def test_no_bf16_where_torch_has_no_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", NoOperators())
    assert not bf16_pays(torch.device("cpu"))
    assert not bf16_pays(torch.device("mps"))


class InPlace:
    """Views that halve the rows they are given, in place."""

    def plain(self, x):
        return x.mul_(0.5)

    def weak(self, x):
        return self.plain(x)

    strong = weak


def test_both_nets_adapt_to_the_same_rows():
    x = np.random.default_rng(0).normal(1.0, size=(40, 3))
    net = NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, batch_size=20)
    clf = FlywheelClassifier(net, views=InPlace(), n_warmup_epochs=1, n_cycles=1).fit(x, np.arange(40) % 2)
    for fitted in (clf.main_net_, clf.aux_net_):
        np.testing.assert_allclose(fitted.module_.mean, x.mean(0) / 2, rtol=1e-5)


class Counts(Dataset):
    """Rows of small whole numbers, as they are on a disk."""

    def __init__(self, dtype):
        self.x = torch.from_numpy(np.random.default_rng(0).poisson(9, (300, 3))).to(dtype)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i]


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_rows_of_whole_numbers_have_the_bins_that_they_are_counted_to_have(dtype, quick_folds):
    rows = Counts(dtype)
    labels = (rows.x[:, 0] > 9).numpy()
    whole = FlywheelClassifier(random_state=0).fit(rows, labels)
    floats = FlywheelClassifier(random_state=0).fit(rows.x.float().numpy(), labels)
    assert whole.main_net_.module_.bins.lower.shape == floats.main_net_.module_.bins.lower.shape
    np.testing.assert_allclose(whole.clean_proba_, floats.clean_proba_)


class Noise:
    """Views that need floats."""

    def fit(self, x):
        self.scale = x.std()

    def weak(self, x, generator):
        return x + 0.1 * self.scale * torch.randn(x.shape, generator=generator)

    strong = weak


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_views_get_whole_numbers_of_a_dataset_as_floats(dtype):
    """As of an array; views that divide what is uint8 made zeros of 8-bit vectors."""
    rows = Counts(dtype)
    labels = (rows.x[:, 0] > 9).numpy()
    settings = {"views": Noise(), "n_warmup_epochs": 1, "n_cycles": 1, "n_folds": 1, "random_state": 0}
    whole, floats = (FlywheelClassifier(**settings).fit(X, labels) for X in (rows, rows.x.float().numpy()))
    np.testing.assert_array_equal(whole.clean_proba_, floats.clean_proba_)


def test_rows_of_weight_zero_make_a_fit_no_shorter():
    """4,000 rows may have two rounds of cycles, 6,000 have one; what counts are rows that take part."""
    x, y = np.random.default_rng(0).normal(size=(6000, 2)), np.arange(6000) % 2
    rounds = {}
    for weights in (None, (np.arange(6000) < 4000).astype(float)):
        data = WeightedRows(torch.from_numpy(x).float(), y, weights, None)
        sample = sample_of(data, data.rows[0])
        params = FlywheelClassifier().get_params(deep=False)
        nets = choose_nets(params, False, len(y), 3)
        made = assemble(params, nets, data, 2, [0, 1, 2], sample.x)
        rounds[weights is None] = made.settings.n_rounds
    assert rounds == {True: 1, False: 2}


def test_the_sample_of_very_many_rows_ends_with_the_last_one(monkeypatch):
    """Places counted in float32 would lie beyond the end of 20 million rows."""
    monkeypatch.setattr(assembly, "SAMPLE_NUMBERS", 100)
    data = WeightedRows(torch.zeros(20_000_004, 1, dtype=torch.uint8), np.zeros(20_000_004, dtype=np.int64), None, None)
    assert len(sample_of(data, data.rows[0]).x) == 100
