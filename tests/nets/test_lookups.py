"""Token ids and codes of categories, which no view may blur."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.nets import Trainer, prepare_net
from noisyflywheel.nets.lookups import reads_ids
from noisyflywheel.views import VectorViews

Y = np.arange(60) % 2
IDS = 5 * Y[:, None] + np.random.default_rng(0).integers(5, size=(60, 4))


class Tokens(nn.Module):
    """The mean of the embeddings of a row's tokens."""

    def __init__(self, n_classes=2):
        super().__init__()
        self.table, self.head = nn.Embedding(10, 8), nn.Linear(8, n_classes)

    def forward(self, x):
        return self.head(self.table(self.ids(x)).mean(1))

    def ids(self, x):
        return x.long()


class Shifted(Tokens):
    """Its second table row is that of id 0."""

    def ids(self, x):
        return x.round().long() % 9 + 1


class OneHot(Tokens):
    """Fails with ids of its own that are too large."""

    def forward(self, x):
        return super().forward(x) + nn.functional.one_hot(self.ids(x), 10).sum((1, 2))[:, None]


class Positions(Tokens):
    """Looks up where a number stands, not which one it is."""

    def ids(self, x):
        return torch.arange(x.shape[1]).expand(x.shape)


class Placed(Tokens):
    """Looks up where a token stands first, and then which one it is."""

    def __init__(self, n_classes=2):
        super().__init__(n_classes)
        self.places = nn.Embedding(4, 8)

    def forward(self, x):
        return self.head((self.places(torch.arange(x.shape[1])) + self.table(self.ids(x))).mean(1))


class Bins(Tokens):
    """Looks up in which of ten bins a measurement is."""

    bounds = torch.linspace(1, 9, 9) + 0.1

    def ids(self, x):
        return torch.bucketize(x, self.bounds)


class WideBins(Bins):
    """Measurements in the thousands."""

    bounds = torch.linspace(1000, 9000, 9)


class Bag(nn.Module):
    """Categories in the first column, a measurement in the second."""

    def __init__(self, n_classes=2):
        super().__init__()
        self.table, self.head = nn.EmbeddingBag(10, 8), nn.Linear(9, n_classes)

    def forward(self, x):
        return self.head(torch.cat([self.table(x[:, :1].long()), x[:, 1:2]], 1))


def net(module):
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, lr=0.5, batch_size=10, train_split=None)


def classifier(module=Tokens, **kwargs):
    return FlywheelClassifier(net(module), n_warmup_epochs=5, n_cycles=1, random_state=0, **kwargs)


SIZES = torch.rand(8, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("module", "x", "expected"),
    [
        (Tokens, IDS[:8], True),
        (Shifted, IDS[:8], True),
        (OneHot, IDS[:8], True),
        (Bag, IDS[:8], True),
        (Placed, IDS[:8], True),
        (Positions, IDS[:8], False),
        (Bins, 10 * SIZES, False),
        (WideBins, (10_000 * SIZES).round(), False),
        (nn.Linear(4, 2), IDS[:8], False),
    ],
)
def test_which_modules_read_ids(module, x, expected):
    trainer = Trainer(prepare_net(net(module), {"n_classes": 2}, None, False))
    for rows in (torch.as_tensor(x), torch.as_tensor(x).float()):
        assert reads_ids(trainer, rows) is expected
    assert not any(part._forward_pre_hooks for part in trainer.net.module_.modules())


def test_no_table_is_asked_beyond_its_last_row():
    asked = []

    class Table(nn.Embedding):
        def forward(self, ids):
            asked.append(int(ids.max()))
            return super().forward(ids)

    class Net(Tokens):
        def __init__(self, n_classes=2):
            super().__init__(n_classes)
            self.table = Table(10, 8)

    trainer = Trainer(prepare_net(net(Net), {"n_classes": 2}, None, False))
    assert reads_ids(trainer, torch.tensor([[9.0, 0.0, 3.0, 9.0]]))  # on CUDA nothing works after an index too large
    assert asked == [9, 9, 9]


def test_asking_leaves_a_net_as_it_was():
    trainer = Trainer(prepare_net(net(nn.Sequential(nn.BatchNorm1d(4), Tokens())), {}, None, False))
    reads_ids(trainer, torch.as_tensor(IDS[:8]).float())
    norm = trainer.net.module_[0]
    assert int(norm.num_batches_tracked) == 0
    assert not norm.running_mean.any()


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({}, "main_net looks numbers of X up .* the noise of views turns into others: set views=None"),
        ({"views": VectorViews()}, "main_net looks numbers of X up .* the noise of views"),
        (
            {"views": None, "mixup_alpha": 1.0},
            "aux_net looks numbers of X up .* MixUp turns into others.* mixup_alpha=0",
        ),
    ],
)
def test_what_would_blur_ids_is_refused(kwargs, words):
    with pytest.raises(ValueError, match=words):
        classifier(**kwargs).fit(IDS, Y)


class Dropping:
    """Views that put token 0 in the place of some others."""

    def weak(self, x, generator=None):
        return x * (torch.rand(x.shape, generator=generator) < 0.9)

    strong = weak


@pytest.mark.parametrize("views", [None, Dropping(), VectorViews(noise=0)])
def test_ids_that_stay_whole_are_learnt(views):
    assert classifier(views=views).fit(IDS, Y).score(IDS, Y) > 0.95


def test_numbers_that_are_no_ids_may_have_noise():
    assert classifier(Positions).fit(IDS, Y).predict(IDS).shape == (60,)
