"""Part 4: tables and embeddings, where kernels are small: a fit on the CPU against one on the GPU.

Digits are scikit-learn's; the embeddings are synthetic, 50,000 rows of 384 numbers in 77 classes. Default nets.
"""

import time
from typing import Any

import numpy as np
import torch
from context import Context
from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric

STEPS = ("main_e", "auxiliary_e", "auxiliary_m", "resample", "main_m")


def rows_of(name: str, tiny: bool) -> tuple[np.ndarray, np.ndarray]:
    """X (n, d) and labels (n,), three in ten of them drawn anew."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        X, y = (X[:200], y[:200]) if tiny else (X, y)
    else:
        n, d, k = (300, 16, 7) if tiny else (50_000, 384, 77)
        rng = np.random.default_rng(0)
        y = np.arange(n) % k
        X = rng.normal(size=(k, d))[y] + 2 * rng.normal(size=(n, d))
    return X.astype(np.float32), symmetric(y, 0.3, random_state=0)


def compare(context: Context, name: str) -> dict[str, Any]:
    """Seconds of a fit and of one of its cycles on the CPU and, where there is one, on the GPU."""
    X, y = rows_of(name, context.tiny)
    n_cycles = 2 if context.tiny else 20 if name == "digits" else 3
    found: dict[str, Any] = {"rows": len(X), "features": X.shape[1], "n_cycles": n_cycles}
    found["cpu_threads"] = torch.get_num_threads()
    for device in dict.fromkeys(("cpu", context.device.type)):
        FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, device=device, random_state=0).fit(X[:200], y[:200])
        start = time.perf_counter()
        settings = {"n_warmup_epochs": 2, "n_cycles": n_cycles, "device": device, "random_state": 0}
        fitted = FlywheelClassifier(**settings).fit(X, y)
        seconds = time.perf_counter() - start
        cycles = fitted.history_[[f"{step}_seconds" for step in STEPS]].sum(axis=1)
        found[device] = {"fit_seconds": seconds, "cycle_seconds": float(cycles.iloc[1:].median())}
    return found
