"""One run of the paper's experiments: trains, measures after every cycle, writes JSON and figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from skorch import NeuralNet

from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.state import Settings
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

    ``out/<plan.name()>.json`` is rewritten after each cycle, and says "done" once the figures are drawn. A run that
    is done is not run again; one that was stopped goes on from its folder in ``out/checkpoint``.

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

    Raises
    ------
    ValueError
        If the file is there and holds another run, or is none of a run.
    """
    path = out / f"{plan.name()}.json"
    before = earlier_record(path, plan)
    if before.get("status") == "done" and "result" in before:
        say(f"{path.name} is done already: {summary(before)}")
        return before
    recorder = Recorder(plan, benchmark, path, command, say)
    recorder.go_on(before)
    measures = CycleMeasures(benchmark.y, benchmark.y_true, benchmark.X_test, benchmark.y_test, sink=recorder.cycle)
    checkpoints = out / "checkpoint" / plan.name()  # a fit in it has its measures, which other test rows change
    classifier = plan.classifier(device, checkpoint_dir=checkpoints, on_cycle=measures)
    classifier.fit(benchmark.X, benchmark.y)
    recorder.finish(classifier, measures)
    draw_figures(recorder.record, classifier, benchmark, path, tsne_rows, say)
    recorder.done()
    return recorder.record


def earlier_record(path: Path, plan: Plan) -> dict[str, Any]:
    """What the file of a run holds, empty without one; a ValueError if that is another run than the plan's."""
    if not path.is_file():
        return {}
    before, setup = read_json(path), plan.setup()
    if before["setup"] != setup:
        names = [name for name in setup if name not in before["setup"] or before["setup"][name] != setup[name]]
        raise ValueError(f"{path} holds a run with other {', '.join(names)}; choose another folder for the results")
    return before


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
        """Take over what is known of a run that was stopped, and its time."""
        kept = ("cycles", "environment", "parameters", "result")
        self.record |= {name: before[name] for name in kept if name in before}
        self.started -= before.get("seconds", 0.0)

    def cycle(self, row: Row, flywheel: Flywheel) -> None:
        """Take in one cycle; rows of a run that went further before are dropped."""
        record = self.record
        if "environment" not in record:
            record["environment"] = environment(flywheel.aux.device)
            record["parameters"] = _parameters(
                vars(flywheel.settings), flywheel.aux.net, flywheel.aux.amp, flywheel.loader.views.views
            )
        record["cycles"] = [kept for kept in record["cycles"] if kept["cycle"] < row["cycle"]] + [row]
        record["result"] = result(record["cycles"])
        record["seconds"] = time.perf_counter() - self.started
        write_json(self.path, record)
        self.say(line(row, flywheel.settings.n_cycles))

    def finish(self, classifier: FlywheelClassifier, measures: CycleMeasures) -> None:
        """Add the matrices of Figure 3 and what is known at the end."""
        self._complete(classifier)
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
        write_json(self.path, self.record)
        self.say(summary(self.record))

    def done(self) -> None:
        """Mark the run as done: nothing is left to do when it is asked for again."""
        self.record["status"] = "done"
        write_json(self.path, self.record)

    def _complete(self, classifier: FlywheelClassifier) -> None:
        """Fill in from the fitted classifier what a resumed fit did not report cycle by cycle."""
        record, rows = self.record, history_rows(classifier)
        known = {row["cycle"] for row in record["cycles"]}
        if missing := [row for row in rows if row["cycle"] not in known]:
            self.started -= sum(row["cycle_seconds"] + row["measure_seconds"] for row in missing)
            record["cycles"] = rows
        net = classifier.aux_net_ if hasattr(classifier, "aux_net_") else classifier.main_net_
        if "environment" not in record:
            record["environment"] = environment(torch.device(net.device))
        if "parameters" not in record:
            settings = {field.name: getattr(classifier, field.name, field.default) for field in fields(Settings)}
            settings["n_warmup_epochs"] = classifier.n_warmup_epochs_
            record["parameters"] = _parameters(settings, net, classifier._amp, classifier.views_.views)
        record["result"] = result(record["cycles"])


def history_rows(classifier: FlywheelClassifier) -> list[Row]:
    """The measured cycles of a fit, without the columns that a cycle does not have."""
    rows = classifier.history_.drop(columns="undone").to_dict("records")
    return [{name: value for name, value in row.items() if value == value} for row in rows]


def _parameters(settings: dict[str, Any], net: NeuralNet, amp: bool, views: Any) -> dict[str, Any]:
    """What the loop and its nets were run with."""
    about = {
        "module": getattr(net.module, "__name__", type(net.module).__name__),
        "n_weights": sum(p.numel() for p in net.module_.parameters()),
        "batch_size": net.batch_size,
        "lr": net.lr,
        "bf16": amp,
        "views": repr(views),
    }
    return settings | about


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
