"""The jobs of the command in order of value: what each is called, how long it takes, whether it runs alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from context import Context
from pictures import SETS

PARTS = {
    "tests": "the suite marked cuda",
    "cycle": "a cycle of PreAct ResNet-18 on 50,000 pictures",
    "throughput": "inference, views, resident data",
    "vectors": "digits and embeddings, CPU against GPU",
    "accuracy": "CIFAR-10 from JPEG copies",
    "two_gpus": "data-parallel training on two devices",
}
CYCLES = (
    ("eager", 1.5),
    ("compile", 2.0),
    ("compile, CUDA graphs", 2.0),
    ("fused optimizer", 0.7),
    ("cudnn benchmark", 0.8),
    ("usual memory order", 0.8),
    ("compile, batch 512", 2.0),
)
TINY_MINUTES = 0.5


@dataclass
class Job:
    """One line of the results."""

    part: str
    name: str
    minutes: float
    work: Callable[..., dict[str, Any]]
    alone: bool = True
    resumes: bool = False
    """Whether a job that was cut off goes on where it was: such a one may start with little time left."""
    obstacle: Callable[[Context], str | None] = lambda context: None
    """Why it is skipped here, if it is."""


def jobs(context: Context) -> list[Job]:
    """Every job, the most valuable first; modules are imported when their job runs."""
    minutes = (lambda full: TINY_MINUTES) if context.tiny else (lambda full: full)
    found = [Job("tests", "tests", minutes(3), partial(_call, "suite", "run"))]
    for name, full in CYCLES:
        found.append(Job("cycle", f"cycle {name}", minutes(full), partial(_call, "cycle", "variant", name)))
    for name in ("inference", "views", "resident"):
        found.append(Job("throughput", name, minutes(0.5), partial(_call, "throughput", name)))
    for name in ("digits", "embeddings"):
        found.append(Job("vectors", name, minutes(0.8), partial(_call, "vectors", "compare", name)))
    found += [_accuracy(name, method, minutes(8.0), alone) for name, method, alone in runs(context.tiny)]
    found.append(Job("two_gpus", "two GPUs", minutes(0.7), partial(_call, "two_gpus", "efficiency"), obstacle=one_gpu))
    return found


def runs(tiny: bool) -> list[tuple[str, str, bool]]:
    """Set, method, and whether it runs alone: one to the end first, then the rest side by side."""
    first, *others = SETS
    if tiny:
        return [(first, method, False) for method in ("paper", "plain", "fast", "ours")]
    found = [(first, "paper", True), (first, "plain", False), (first, "fast", False), (first, "ours", False)]
    for name in others:
        found += [(name, "paper", False), (name, "plain", False)]
    found += [("worst", "ours", False), ("worst", "fast", False)]
    return [*found, (first, "whole", False)]


def _accuracy(name: str, method: str, minutes: float, alone: bool) -> Job:
    work = partial(_call, "accuracy", "measure", name, method)
    return Job("accuracy", f"accuracy {name} {method}", minutes, work, alone, method != "plain", no_data)


def no_data(context: Context) -> str | None:
    """The pictures of the tiny scale are made where there is no archive."""
    return "no --data" if context.data is None and not context.tiny else None


def one_gpu(context: Context) -> str | None:
    """Two processes stand in for two devices on the CPU."""
    found = torch.cuda.device_count()
    return f"{found} CUDA device here" if context.device.type == "cuda" and found < 2 else None


def _call(module: str, function: str, *arguments: str, context: Context) -> dict[str, Any]:
    return getattr(__import__(module), function)(context, *arguments)
