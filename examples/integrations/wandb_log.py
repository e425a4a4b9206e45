"""Weights & Biases: losses of f by skorch's own `WandbLogger`, the share of clean labels by `on_cycle`.

Runs offline, without an account; `mode="online"` sends the run. Needs `wandb`.

    python examples/integrations/wandb_log.py runs
"""

import sys
from pathlib import Path

import torch
import wandb
from sklearn.datasets import load_iris
from skorch import NeuralNetClassifier
from skorch.callbacks import WandbLogger
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.noise import symmetric


def make_net(**more) -> NeuralNetClassifier:
    return NeuralNetClassifier(
        MLP, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.01, train_split=None, **more
    )


def main(folder: str = "runs") -> None:
    run = wandb.init(project="iris", dir=folder, mode="offline", settings=wandb.Settings(silent=True))

    def log_cycle(flywheel, row):
        run.log({"gamma": row["gamma"], "cycle": row["cycle"]})

    X, y = load_iris(return_X_y=True)
    given = symmetric(y, 0.2, random_state=0)
    f = make_net(callbacks=[("wandb", WandbLogger(run, save_model=False))])
    clf = FlywheelClassifier(make_net(), f, n_warmup_epochs=3, n_cycles=4, on_cycle=log_cycle, random_state=0)
    clf.fit(X, given)
    print(f"gamma {run.summary['gamma']:.3f}, loss of f {run.summary['train_loss']:.3f}")
    run.finish()
    print("files:", len(list(Path(folder).rglob("*.wandb"))))
    print("wandb", wandb.__version__)


if __name__ == "__main__":
    Path(*sys.argv[1:2] or ["runs"]).mkdir(parents=True, exist_ok=True)
    main(*sys.argv[1:2])
