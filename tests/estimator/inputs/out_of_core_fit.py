"""Fit a memory map under a limit on this process's own memory (RLIMIT_DATA: pages of files do not count)."""

import json
import resource
import sys

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier

USED = 16


class FirstColumns(nn.Module):
    """A linear layer on the first columns: the net is small, the rows are not."""

    def __init__(self, n_classes=2):
        super().__init__()
        self.linear = nn.Linear(USED, n_classes)

    def forward(self, x):
        return self.linear(x[:, :USED])


def data_bytes():
    """Bytes that count for the limit."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))


def fits_in_memory(X):
    """Whether the limit allows a copy of X."""
    try:
        return np.array(X).nbytes == X.nbytes
    except MemoryError:
        return False


def main(path, dtype, n, d, limit, added):
    torch.set_num_threads(1)
    X = np.memmap(path, dtype=dtype, mode="r", shape=(n, d))
    y = np.arange(n) % 2
    y[::10] ^= 1  # wrong labels
    start = data_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (limit or start + added,) * 2)
    net = NeuralNetClassifier(
        FirstColumns, criterion=nn.CrossEntropyLoss, batch_size=32, lr=0.1, train_split=None, device="cpu"
    )
    clf = FlywheelClassifier(
        net, views=None, n_warmup_epochs=1, n_cycles=1, cycle_size=512, guard=False, random_state=0
    )
    clf.fit(X, y)
    right = clf.predict(X[:1000]) == np.arange(1000) % 2
    found = {"start": start, "end": data_bytes(), "bytes": X.nbytes, "accuracy": float(right.mean())}
    print(json.dumps(found | {"fits_in_memory": fits_in_memory(X)}))


if __name__ == "__main__":
    path, dtype, *numbers = sys.argv[1:]
    main(path, dtype, *map(int, numbers))
