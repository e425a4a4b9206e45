"""Stacks of tables: a flywheel with folds whose every prediction and step is known by hand."""

import torch
from skorch import NeuralNetClassifier
from tables import GIVEN, K, N, loader, settings
from torch import nn

from noisyflywheel.backbones.members import FoldedMLP
from noisyflywheel.loop.with_folds.out_of_fold import OutOfFoldFlywheel
from noisyflywheel.nets import Trainer, prepare_net

FOLDS, M = 2, 4


class Tables(nn.Module):
    """Four tables of logits (4, N, K), two families of one per fold, and those that are kept."""

    n_folds, families = FOLDS, ("first", "second")

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.randn(M, N, K, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("kept", torch.zeros(2 * M, N, K))
        self.register_buffer("kept_share", torch.zeros(()))
        self.register_buffer("kept_division", torch.eye(K))
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, x):
        logits = self.logits[:, x[:, 0].long()]
        if self.training:
            return logits
        kept = self.kept[:, x[:, 0].long()].softmax(-1).mean(0)
        return torch.lerp(logits.softmax(-1).mean(0), self.of_kept(kept), self.kept_share).log()

    of_kept, divides = FoldedMLP.of_kept, FoldedMLP.divides
    mix_in_kept, alone = FoldedMLP.mix_in_kept, FoldedMLP.alone

    def apart(self, x, kept=False):
        index = x[..., 0].long()
        tables = self.kept if kept else self.logits
        index = index.repeat(2, 1) if kept else index
        return tables[torch.arange(len(tables))[:, None], index]

    def scale(self, x):
        return 10 * x

    def weigh(self, columns):
        self.columns = columns

    def mix_in_trees(self, trees, share):
        assert len(trees) == 0 and share == 0  # the length of the warm-up is asked for here

    def keep(self, family):
        members = slice(FOLDS * family, FOLDS * family + FOLDS)
        self.kept[members] = self.logits[members].detach()

    def keep_of(self, other):
        self.kept[M:] = other.kept[:M]

    def go_back_to_kept(self):
        self.logits.data.copy_(self.kept[:M])


def tables_trainer(seed, lr):
    net = NeuralNetClassifier(Tables, criterion=nn.CrossEntropyLoss, lr=lr, batch_size=-1, train_split=None)
    trainer = Trainer(prepare_net(net, {}, None, False))
    rng = torch.Generator().manual_seed(seed)
    trainer.net.module_.logits.data = torch.randn(M, N, K, generator=rng)
    trainer.net.module_.kept = torch.randn(2 * M, N, K, generator=rng)
    return trainer


def out_of_fold(lr=1.0, sample_weight=None, **changes):
    trainers = [tables_trainer(seed, lr) for seed in (1, 2)]
    return OutOfFoldFlywheel(*trainers, loader(), GIVEN, K, settings(guard=False, **changes), sample_weight)


def tables_of(trainer):
    return trainer.net.module_.logits.detach().clone()


def unseen(made, tables):
    """Predictions (2, N, K) of each row by the member of each family that leaves it out: the plain form."""
    prob = tables.softmax(-1)
    found = torch.zeros(len(tables) // FOLDS, N, K)
    for member in range(len(tables)):
        left_out = made.folds.trains[member % M] == 0
        found[member // FOLDS, left_out] = prob[member, left_out]
    return found


def at_first_cycle(**changes):
    made = out_of_fold(**changes)
    made.start_cycles()
    return made
