"""Ten rows and nets that are tables: every prediction, gradient and step is known by hand."""

import torch
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel.data import ArraySource, DatasetSource
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.loop.state import Settings
from noisyflywheel.nets import Trainer, prepare_net
from noisyflywheel.nets.parallel import Ranks
from noisyflywheel.views.adapter import ViewAdapter

N, K = 10, 3
ROWS = torch.arange(N)
X = torch.arange(10.0)[:, None]
"""The only feature of a row is its number."""

GIVEN = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
G_PROB = torch.softmax(torch.randn(N, K, generator=torch.Generator().manual_seed(1)), 1)
F_PROB = torch.softmax(torch.randn(N, K, generator=torch.Generator().manual_seed(2)), 1)
Q = torch.linspace(0.05, 0.95, N, dtype=torch.float64)
WEIGHTS = torch.tensor([2.0, 0.5, 1.0, 1.0, 0.25, 1.75, 1.0, 1.0, 0.5, 1.0], dtype=torch.float64)


class Table(nn.Module):
    """Logits (n, K), looked up by a row's number."""

    def __init__(self, n_rows=N, n_classes=K):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_rows, n_classes))

    def forward(self, x):
        return self.logits[x[:, 0].long()]


class Neighbours:
    """Views that show another row: the weak one the next, the strong one the second next."""

    guess = ("weak", "plain")

    def weak(self, x):
        return (x + 1) % N

    def strong(self, x):
        return (x + 2) % N


def table_trainer(prob, lr=1.0, batch_size=-1, scheduled=False):
    """A net that predicts the rows of ``prob`` (n, K) and is trained by plain gradient steps."""
    net = NeuralNetClassifier(
        Table,
        module__n_rows=len(prob),
        module__n_classes=prob.shape[1],
        criterion=nn.CrossEntropyLoss,
        lr=lr,
        batch_size=batch_size,
        train_split=None,
    )
    trainer = Trainer(prepare_net(net, {}, None, False), scheduled=scheduled)
    trainer.net.module_.logits.data.copy_(prob.log())
    return trainer


class Line(nn.Module):
    """Logits (n, K) that are linear in a row's number, which is also its feature."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(1, K)

    def forward(self, x):
        return self.last(x)


def linear_trainer():
    net = NeuralNetClassifier(Line, criterion=nn.CrossEntropyLoss, lr=0.1, batch_size=-1, train_split=None)
    torch.manual_seed(0)
    return Trainer(prepare_net(net, {}, None, False))


def logits_of(trainer):
    return trainer.net.module_.logits.detach()


def prob_of(trainer):
    return torch.softmax(logits_of(trainer), 1)


def move_of_one_step(trainer, before):
    """By how much the logits went down in one step of the whole table at a rate of N: the gradient's rows times N."""
    return before.log() - logits_of(trainer)


def loader(views=None, seed=0, x=X):
    return ViewLoader(ArraySource(x, torch.device("cpu")), ViewAdapter(views, x), seed)


def numbered(rank, size):
    """One of several ranks, for what needs no more of them than their numbers."""
    ranks = Ranks()
    ranks.rank, ranks.size = rank, size
    return ranks


def read_loader(rank=0, size=2, views=None, seed=0):
    """The loader of one rank for rows that are read one by one."""
    return ViewLoader(DatasetSource(X, torch.device("cpu")), ViewAdapter(views, X), seed, numbered(rank, size))


def settings(**changes):
    usual = {
        "n_warmup_epochs": 2,
        "n_cycles": 4,
        "cycle_size": None,
        "cr_weight": 3.0,
        "cr_ramp": 2,
        "contrastive_weight": 0.0,
        "mixup_alpha": 0.0,
        "sharpen_temperature": 1.0,
        "average_epochs": 0.0,
        "noise_model": "class",
        "resample": "posterior",
        "calibrate": "auto",
        "guard": True,
        "refurbish": True,
    }
    return Settings(**usual | changes)


def flywheel(
    g_prob=G_PROB, f_prob=F_PROB, given=GIVEN, views=None, sample_weight=None, lr=1.0, batch_size=-1, **changes
):
    """A flywheel of two tables; ``changes`` are of its settings. Without f both are g's."""
    chosen = settings(**changes)
    main = table_trainer(g_prob, lr, batch_size)
    aux = table_trainer(f_prob, lr, batch_size) if chosen.refurbish else main
    x = torch.arange(float(len(given)))[:, None]
    return Flywheel(main, aux, loader(views, x=x), given, g_prob.shape[1], chosen, sample_weight)


def onehot(labels):
    return nn.functional.one_hot(labels, K).float()
