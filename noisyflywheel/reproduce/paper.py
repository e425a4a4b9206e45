"""The paper's own figures: rows "OURS" of Tables 1-5 and 7, and all of Table 6.

Kim, Chang, Cho, Lee and Han, "Learning with Noisy Labels: Interconnection of Two
Expectation-Maximizations", 2024.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One number of a table.

    Attributes
    ----------
    table : int
        1-7.
    dataset, noise, rate, without
        As in `noisyflywheel.reproduce.Plan`.
    metric : str
        Which result of a run stands beside it: a key of the record's ``result``.
    value : float
        Per cent; seconds in Table 7.
    """

    table: int
    dataset: str
    noise: str
    rate: float | None
    without: str | None
    metric: str
    value: float


TITLES = {
    1: "Table 1. Test accuracy (%), symmetric and asymmetric noise",
    2: "Table 2. Test accuracy (%), instance-dependent noise",
    3: "Table 3. Test accuracy (%) on Tiny-ImageNet: best, and mean of the last 10 epochs",
    4: "Table 4. Test accuracy (%) on Clothing1M",
    5: "Table 5. Top-1 and top-5 test accuracy (%) on WebVision",
    6: "Table 6. Ablations, test accuracy (%)",
    7: "Table 7. Seconds per training epoch, and for inference on all test rows, CIFAR-10",
}

LAST = "last_test_accuracy"

_SYM, _ASYM = (0.2, 0.5, 0.8, 0.9), (0.1, 0.3, 0.4)
_TABLE_1 = {
    ("cifar10", "sym"): dict(zip(_SYM, (97.0, 96.7, 95.9, 94.4), strict=True)),
    ("cifar10", "asym"): dict(zip(_ASYM, (97.3, 96.6, 96.2), strict=True)),
    ("cifar100", "sym"): dict(zip(_SYM, (79.7, 77.7, 71.9, 58.8), strict=True)),
    ("cifar100", "asym"): dict(zip(_ASYM, (80.9, 79.1, 78.6), strict=True)),
}
_TABLE_2 = {
    "cifar10": {0.2: 96.7, 0.4: 96.8, 0.6: 96.1},
    "cifar100": {0.2: 79.8, 0.4: 77.9, 0.6: 76.2},
}
_TABLE_3 = {None: (63.1, 62.7), 0.2: (60.3, 60.0), 0.5: (53.4, 53.0)}
_ABLATED = (("sym", 0.8), ("sym", 0.9), ("asym", 0.4))
_TABLE_6 = {  # sym-80, sym-90, asym-40 on CIFAR-10, then on CIFAR-100
    "cr": (92.3, 87.5, 88.8, 65.9, 46.2, 64.0),
    "aux": (95.6, 91.5, 90.3, 40.6, 35.7, 56.6),
    "eps": (95.8, 92.0, 94.4, 72.3, 55.5, 72.6),
    "cl": (95.7, 94.6, 96.3, 71.4, 57.4, 78.6),
    None: (95.9, 94.4, 96.2, 71.9, 58.8, 78.6),
}


def cells() -> list[Cell]:
    """Every number of Tables 1-7 that a run can stand beside."""
    found = [
        Cell(1, dataset, noise, rate, None, LAST, value)
        for (dataset, noise), values in _TABLE_1.items()
        for rate, value in values.items()
    ]
    found += [
        Cell(2, dataset, "idn", rate, None, LAST, value)
        for dataset, values in _TABLE_2.items()
        for rate, value in values.items()
    ]
    for rate, (best, mean) in _TABLE_3.items():
        kind = "clean" if rate is None else "sym"
        found.append(Cell(3, "tiny-imagenet", kind, rate, None, "best_test_accuracy", best))
        found.append(Cell(3, "tiny-imagenet", kind, rate, None, "mean_last_10_test_accuracy", mean))
    found.append(Cell(4, "clothing1m", "real", None, None, LAST, 75.04))
    found.append(Cell(5, "webvision", "real", None, None, LAST, 80.96))
    found.append(Cell(5, "webvision", "real", None, None, "last_test_top5", 93.56))
    for without, values in _TABLE_6.items():
        places = [(dataset, *which) for dataset in ("cifar10", "cifar100") for which in _ABLATED]
        found += [Cell(6, *place, without, LAST, value) for place, value in zip(places, values, strict=True)]
    found.append(Cell(7, "cifar10", "any", None, None, "median_cycle_seconds", 57.11))
    found.append(Cell(7, "cifar10", "any", None, None, "median_inference_seconds", 0.9720))
    return found
