"""One run of the paper's experiments: trains, measures after every cycle, writes JSON and figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.reproduce import figures
from noisyflywheel.reproduce.benchmarks import Benchmark
from noisyflywheel.reproduce.measures import CycleMeasures, Row
from noisyflywheel.reproduce.plan import Plan
from noisyflywheel.reproduce.record import FORMAT, environment, read_json, write_json

LAST = 10
"""Cycles that the mean of the last ones takes in (Table 3)."""


def reproduce(
    plan: Plan,
    benchmark: Benchmark,
    out: Path,
    *,
    device: str = "auto",
    command: str = "",
    tsne_rows: int = 2000,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run a plan, or go on with it, and return the record that its JSON file holds.

    ``out/<plan.name()>.json`` is rewritten after each cycle. A run that is done is not run again; one that
    was stopped goes on from ``out/checkpoint``.

    Parameters
    ----------
    plan : Plan
    benchmark : Benchmark
        What `load_benchmark` gave for the plan.
    out : Path
        Made if needed.
    device : str, default="auto"
    command : str
        For the record.
    tsne_rows : int, default=2000
        Test rows in Figure 4; 0 leaves it out.
    say : callable
        Takes a line about each cycle.
    """
    path = out / f"{plan.name()}.json"
    before = read_json(path) if path.is_file() else None
    if before is not None and before["setup"] == plan.setup() and before["status"] == "done":
        say(f"{path.name} is done already: {summary(before)}")
        return before
    recorder = Recorder(plan, benchmark, path, command, say)
    if before is not None and before["setup"] == plan.setup():
        recorder.go_on(before)
    measures = CycleMeasures(benchmark.y, benchmark.y_true, benchmark.X_test, benchmark.y_test, sink=recorder.cycle)
    classifier = plan.classifier(device, checkpoint_dir=out / "checkpoint", on_cycle=measures)
    classifier.fit(benchmark.X, benchmark.y)
    recorder.finish(classifier, measures)
    draw_figures(recorder.record, classifier, benchmark, path, tsne_rows, say)
    return recorder.record


class Recorder:
    """Keeps the record of a run and its file up to date.

    Parameters
    ----------
    plan, benchmark, path, command, say
        As in `reproduce`; ``path`` is the file.
    """

    def __init__(self, plan: Plan, benchmark: Benchmark, path: Path, command: str, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say
        self.started = time.perf_counter()
        true = {} if benchmark.y_true is None else {"true_clean_rate": (benchmark.y == benchmark.y_true).mean()}
        self.record: dict[str, Any] = {
            "format": FORMAT,
            "status": "running",
            "setup": plan.setup(),
            "command": command,
            "data": {"note": benchmark.note, "n_train": len(benchmark.y), "n_test": len(benchmark.y_test)} | true,
            "cycles": [],
        }

    def go_on(self, before: dict[str, Any]) -> None:
        """Take over the cycles and the time of a run that was stopped."""
        self.record["cycles"] = before["cycles"]
        self.started -= before.get("seconds", 0.0)

    def cycle(self, row: Row, flywheel: Flywheel) -> None:
        """Take in one cycle; rows of a run that went further before are dropped."""
        record = self.record
        if "environment" not in record:
            record["environment"] = environment(flywheel.aux.device)
            record["parameters"] = _parameters(flywheel)
        record["cycles"] = [kept for kept in record["cycles"] if kept["cycle"] < row["cycle"]] + [row]
        record["result"] = result(record["cycles"])
        record["seconds"] = time.perf_counter() - self.started
        write_json(self.path, record)
        self.say(line(row, flywheel.settings.n_cycles))

    def finish(self, classifier: FlywheelClassifier, measures: CycleMeasures) -> None:
        """Add the matrices of Figure 3 and what is known at the end."""
        truth = measures.true_corruption()
        self.record["matrices"] = {
            "orientation": "rows = true class, columns = given class; Figure 3 draws true classes as columns",
            "classes": [str(label) for label in classifier.classes_],
            "T_c": classifier.corruption_matrix_,
            "T": classifier.transition_matrix_,
        } | ({} if truth is None else {"true_T_c": truth})
        self.record["seconds"] = time.perf_counter() - self.started
        if torch.cuda.is_initialized():
            self.record["peak_gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
        self.record["status"] = "done"
        write_json(self.path, self.record)
        self.say(summary(self.record))


def _parameters(flywheel: Flywheel) -> dict[str, Any]:
    """What the loop and its nets were run with."""
    net = flywheel.aux.net
    about = {
        "module": getattr(net.module, "__name__", type(net.module).__name__),
        "n_weights": sum(p.numel() for p in net.module_.parameters()),
        "batch_size": net.batch_size,
        "lr": net.lr,
        "bf16": flywheel.aux.amp,
        "views": repr(flywheel.loader.views.views),
    }
    return vars(flywheel.settings) | about


def result(cycles: list[Row]) -> dict[str, Any]:
    """The headline, from the rows of the cycles: the last cycle, and the best beside it."""
    last, accuracy = cycles[-1], [row["test_accuracy"] for row in cycles]
    found: dict[str, Any] = {"cycles": len(cycles), "last_test_accuracy": accuracy[-1]}
    found["best_test_accuracy"] = max(accuracy)
    found["mean_last_10_test_accuracy"] = sum(accuracy[-LAST:]) / len(accuracy[-LAST:])
    names = (
        "gamma",
        "test_top5",
        "selection_auroc",
        "quality_auroc",
        "refurbishment_accuracy",
        "corruption_error",
    )
    found |= {f"last_{name}": last[name] for name in names if name in last}
    found["median_cycle_seconds"] = statistics.median([row["cycle_seconds"] for row in cycles])
    found["median_inference_seconds"] = statistics.median([row["inference_seconds"] for row in cycles])
    return found


def line(row: Row, n_cycles: int) -> str:
    """One cycle in a line."""
    text = f"cycle {int(row['cycle']):>3}/{n_cycles}  test {row['test_accuracy']:6.2%}  gamma {row['gamma']:.3f}"
    for name, column in (("AUROC", "selection_auroc"), ("quality", "quality_auroc")):
        text += f"  {name} {row[column]:.4f}" if column in row else ""
    if "refurbishment_accuracy" in row:
        text += f"  refurbished {row['refurbishment_accuracy']:6.2%}"
    return text + f"  {row['cycle_seconds']:.1f} s"


def summary(record: dict[str, Any]) -> str:
    """The headline in a line."""
    found = record["result"]
    return (
        f"test accuracy {found['last_test_accuracy']:.2%} after the last of {found['cycles']} cycles "
        f"(best {found['best_test_accuracy']:.2%}, picked on test rows)"
    )


def draw_figures(
    record: dict[str, Any],
    classifier: FlywheelClassifier,
    benchmark: Benchmark,
    path: Path,
    tsne_rows: int,
    say: Callable[[str], None],
) -> None:
    """Figures 3, 4 and 5 beside the JSON file."""
    drawn = {"figure3": figures.corruption(record, benchmark.class_names), "figure5": figures.curves(record)}
    if tsne_rows > 0:
        drawn["figure4"] = figures.tsne(classifier, benchmark, tsne_rows)
    for name, figure in sorted(drawn.items()):
        if figure is not None:
            say(f"{name}: {figures.save(figure, path.with_name(f'{path.stem}-{name}.png'))}")
