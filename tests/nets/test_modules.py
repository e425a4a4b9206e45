"""Nets with a module beside ``module_``: what is done with one is done with all."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.data import ArraySource
from noisyflywheel.nets import Trainer, check_forward, prepare_net
from noisyflywheel.nets.check import check_own_weights
from noisyflywheel.nets.frozen import check_trains
from noisyflywheel.nets.lookups import reads_ids
from noisyflywheel.nets.modules import all_modules

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
FIT = {"refurbish": False, "n_warmup_epochs": 1, "n_cycles": 1, "random_state": 0}


class Stemmed(NeuralNetClassifier):
    """Rows go through ``stem_`` first, which ``make_stem`` makes."""

    def initialize_module(self):
        super().initialize_module()
        self.stem_ = self.make_stem()
        return self

    def make_stem(self):
        return nn.Linear(4, 4)

    def infer(self, x, **params):
        return self.module_(self.stem_(x))


class Sharing(Stemmed):
    """Its stem is that of every other net of the class."""

    stem = nn.Linear(4, 4)

    def make_stem(self):
        return self.stem


class Embedded(Stemmed):
    """Reads rows as ids."""

    def make_stem(self):
        return nn.Sequential(Whole(), nn.Embedding(20, 1), nn.Flatten())


class Whole(nn.Module):
    def forward(self, x):
        return x.long()


class Normalised(Stemmed):
    """Its stem takes mean and variance of each batch in eval mode too."""

    def make_stem(self):
        return nn.BatchNorm1d(4, track_running_stats=False)


def net(kind=Stemmed, module=nn.Linear, **params):
    settings = {"criterion": nn.CrossEntropyLoss, "lr": 0.1, "batch_size": 16, "train_split": None}
    widths = {"module__in_features": 4, "module__out_features": 3} if module is nn.Linear else {}
    return kind(module, **settings, **widths, **params)


def ready(*args, **kwargs):
    return prepare_net(net(*args, **kwargs), {}, None, False)


def test_all_modules_are_those_of_the_net():
    made = ready()
    assert list(all_modules(made)) == [made.module_, made.stem_]


def test_weights_of_all_modules_are_averaged():
    last = {}

    class Notes(Callback):
        def on_batch_end(self, net, **kwargs):
            last.update(stem=net.stem_.weight.detach().clone(), module=net.module_.weight.detach().clone())

    clf = FlywheelClassifier(net(callbacks=[Notes()]), average_epochs=3, **FIT).fit(X, Y)
    assert not torch.equal(clf.main_net_.module_.weight, last["module"])
    assert not torch.equal(clf.main_net_.stem_.weight, last["stem"])


def test_one_module_may_be_frozen():
    head = nn.Linear(4, 3).requires_grad_(False)
    made = ready(module=head)
    check_trains(made, "main_net")
    made.stem_.requires_grad_(False)
    with pytest.raises(ValueError, match="main_net trains no weights"):
        check_trains(made, "main_net")


def test_second_modules_in_common_are_refused():
    with pytest.raises(ValueError, match=r"main_net and aux_net train the same weights \(weight\)"):
        check_own_weights(ready(Sharing), ready(Sharing))


def test_ids_that_a_second_module_looks_up_are_found():
    trainer = Trainer(ready(Embedded))
    assert reads_ids(trainer, torch.randint(10, (8, 4), generator=torch.Generator().manual_seed(0)).float())


def test_a_norm_of_a_second_module_gets_no_batch_of_one_row():
    trainer, source = Trainer(ready(Normalised)), ArraySource(torch.from_numpy(X), torch.device("cpu"))
    parts = trainer.predict_parts(source, lambda x: x, torch.arange(5), batch_size=4)
    assert sum(map(len, parts)) == 5


class Pools(Stemmed):
    """Convolves pictures to fewer pixels than the stride of its second convolution."""

    def make_stem(self):
        return nn.Sequential(nn.Conv2d(1, 4, 8), nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.Flatten())


def test_a_narrow_convolution_of_a_second_module_goes_without_bf16():
    trainer = Trainer(ready(Pools), amp=True)
    check_forward(trainer, torch.rand(2, 1, 8, 8), 3, "main_net")
    assert not trainer.amp
