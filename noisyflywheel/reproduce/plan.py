"""What one run is: the data, the noise, the recipe and its changes."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any

from noisyflywheel import recipes
from noisyflywheel.backbones import PreActResNet18, SmallResNet
from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.reproduce.benchmarks import check_noise
from noisyflywheel.reproduce.record import plain

ABLATIONS: dict[str, dict[str, Any]] = {
    "cr": {"cr_weight": 0.0},
    "aux": {"refurbish": False},
    "eps": {"noise_model": "uniform"},
    "cl": {"contrastive_weight": 0.0},
}
"""Table 6: no confidence regularizer, no f (Eq. 7), eps fixed at 1/K, no contrastive loss."""

NO_NAME = re.compile(r'[<>:"/\\|?*]')
"""What no name of a file may hold on some system."""

NOT_TO_SET = {
    "n_cycles": "--epochs",
    "n_warmup_epochs": "--warmup",
    "random_state": "--seed",
    "device": "--device",
    "checkpoint_dir": "--out",
    "on_cycle": "the command itself",
}
"""Parameters of the classifier that a run sets, and by what."""

NETS = {"preact18": PreActResNet18, "small": SmallResNet}


@dataclass(frozen=True)
class Plan:
    """One run, but for where its files lie.

    Attributes
    ----------
    dataset, noise, rate, seed : str, str, float or None, int
        See `load_benchmark`; the seed also drives the training.
    fast : bool
        `recipes.cifar10_fast` instead of the paper's recipe.
    form : {"paper", "package"}
        The loop as the paper writes it, or the package's own (see `noisyflywheel.recipes`).
    net : {"preact18", "small"} or None
        None: the recipe's.
    epochs, warmup : int or None
        Epochs in all (warm-up and cycles) and of the warm-up; None: the recipe's.
    without : str or None
        One of `ABLATIONS`.
    n_train, n_test : int or None
        The first rows only.
    labels : str or None
        ``"FILE:MEMBER"``: name of a file of given labels and its member, which may be empty.
    changes : dict
        Further parameters of the classifier.
    """

    dataset: str
    noise: str
    rate: float | None = None
    seed: int = 0
    fast: bool = False
    form: str = "paper"
    net: str | None = None
    epochs: int | None = None
    warmup: int | None = None
    without: str | None = None
    n_train: int | None = None
    n_test: int | None = None
    labels: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be run, in words of the command's options."""
        check_noise(self.dataset, self.noise, self.rate)
        if self.fast and self.dataset != "cifar10":
            raise ValueError("--fast is a schedule for cifar10")
        if self.net is not None and self.dataset in ("clothing1m", "webvision"):
            raise ValueError(f"--net goes with small pictures; {self.dataset} has its own network")
        if self.epochs is not None and self.epochs < 2:
            raise ValueError("--epochs must be at least 2: one of warm-up and one cycle")
        if self.warmup is not None and not 0 <= self.warmup < (self.epochs or 10**9):
            raise ValueError("--warmup must be at least 0 and below --epochs")
        for name, option in (NOT_TO_SET | dict.fromkeys(ABLATIONS.get(self.without or "", ()), "--without")).items():
            if name in self.changes:
                raise ValueError(f"--set {name} is not possible: {option} sets it")
        for option, value in (("--n-train", self.n_train), ("--n-test", self.n_test)):
            if value is not None and value < 2:
                raise ValueError(f"{option} must be at least 2")

    def setup(self) -> dict[str, Any]:
        """Everything that decides the numbers, as JSON holds it."""
        return plain(asdict(self))

    def name(self) -> str:
        """File name without suffix; plans with the same setup have the same."""
        parts = [self.dataset, self.noise]
        parts += [f"{100 * self.rate:g}"] if self.rate is not None else []
        parts += self._label_parts()
        parts += ["fast"] if self.fast else []
        parts += [self.form] if self.form != ("package" if self.fast else "paper") else []
        parts += [f"without-{self.without}"] if self.without else []
        parts += [self.net] if self.net else []
        counted = (("e", self.epochs), ("w", self.warmup), ("n", self.n_train), ("t", self.n_test))
        parts += [f"{letter}{value}" for letter, value in counted if value is not None]
        parts += [NO_NAME.sub("_", f"{key}={value}") for key, value in sorted(self.changes.items())]
        return "-".join([*parts, f"seed{self.seed}"])

    def classifier(self, device: str = "auto", **further: Any) -> FlywheelClassifier:
        """The recipe with this plan's changes, not fitted."""
        recipe = getattr(recipes, "cifar10_fast" if self.fast else self.dataset.replace("-", "_"))
        literal = self.form == "paper"
        usual = recipe(literal=literal, device="cpu")
        self._check_numbers(usual.get_params())
        changes: dict[str, Any] = self._lengths(usual.n_warmup_epochs, usual.n_cycles)
        changes |= {"main_net__module": NETS[self.net]} if self.net else {}
        changes |= ABLATIONS[self.without] if self.without else {}
        changes |= {"random_state": self.seed} | self.changes | further
        return recipe(literal=literal, device=device, **changes)

    def _check_numbers(self, usual: dict[str, Any]) -> None:
        """Refuse text for what is a number or truth value in the recipe: JSON that is mistyped is text."""
        for name, value in self.changes.items():
            if isinstance(value, str) and value != "auto" and isinstance(usual.get(name), int | float):
                form = "true or false" if isinstance(usual[name], bool) else "a number"
                raise ValueError(f"--set {name} must be {form}, got {value!r}")

    def _label_parts(self) -> list[str]:
        """File stem and member of the given labels, for `name`."""
        if self.labels is None:
            return []
        file, _, member = self.labels.partition(":")
        parts = ["labels", PurePath(file).stem, *([member] if member else [])]
        return [NO_NAME.sub("_", part) for part in parts]

    def _lengths(self, warmup: int, cycles: int) -> dict[str, int]:
        """Warm-up epochs and cycles; a short run has at most a third of warm-up."""
        if self.epochs is not None:
            warmup = min(warmup, max(1, self.epochs // 3))
        warmup = warmup if self.warmup is None else self.warmup
        return {
            "n_warmup_epochs": warmup,
            "n_cycles": cycles if self.epochs is None else self.epochs - warmup,
        }
