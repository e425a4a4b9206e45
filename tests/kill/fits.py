"""A process that fits and is killed, again and again: it imports once and forks a child for every try.

Each line on standard input is one try, as JSON: ``{"directory", "result", "seconds", "write"}``. The child fits with
``checkpoint_dir=directory`` and is killed with SIGKILL after ``seconds``, or at its ``write``-th step of writing a
checkpoint (a file half written, a file not yet synced, before or after the rename). If it gets to the end it leaves
its arrays in ``result``. One line of JSON answers: ``{"ended": true or false, "seconds": time}``.
"""

import json
import os
import signal
import sys
import time

import numpy as np
import torch
from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.persistence import store

torch.set_num_threads(1)
X, Y = load_digits(return_X_y=True)
X, Y = X[:400], Y[:400]


def kill_in_write(count):
    """This process kills itself at the ``count``-th step of writing checkpoints."""
    left = count

    def step():
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(path, parts):
        content = b"".join(parts)
        with open(path, "xb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            step()
            file.write(content[len(content) // 2 :])
            step()

    def wrap(function):
        def wrapped(*args, **kwargs):
            step()
            function(*args, **kwargs)
            step()

        return wrapped

    store._write = write
    store.sync_directory = wrap(store.sync_directory)
    os.replace = wrap(os.replace)


def fit(directory, result):
    settings = {"n_warmup_epochs": 6, "n_cycles": 10, "mixup_alpha": 4.0, "contrastive_weight": 0.025}
    clf = FlywheelClassifier(**settings, random_state=0, checkpoint_dir=directory)
    clf.fit(X, Y)
    history = clf.history_.drop(columns=[name for name in clf.history_ if name.endswith("_seconds")])
    arrays = {name: value for name, value in vars(clf).items() if isinstance(value, np.ndarray)}
    np.savez(result, proba=clf.predict_proba(X), history=history.to_numpy(float), **arrays)


def main():
    for line in sys.stdin:
        task = json.loads(line)
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            if task.get("write"):
                kill_in_write(task["write"])
            fit(task["directory"], task["result"])
            os._exit(0)
        if task.get("seconds") is not None:
            time.sleep(task["seconds"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        ended = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        print(json.dumps({"ended": ended, "seconds": time.monotonic() - start}), flush=True)


if __name__ == "__main__":
    main()
