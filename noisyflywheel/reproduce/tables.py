"""Tables 1-7 from the JSON files of many runs, as Markdown beside the paper's figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from noisyflywheel.reproduce.paper import LAST, TITLES, Cell, cells
from noisyflywheel.reproduce.record import read_json

Record = dict[str, Any]

INTRODUCTION = (
    "Each figure is test accuracy of f after the **last** cycle: mean ± standard deviation over the seeds. The "
    'best cycle, picked on the test rows, stands beside it for comparison only. "Paper" is the paper\'s own.'
)

METRICS = {
    LAST: "top-1",
    "last_test_top5": "top-5",
    "best_test_accuracy": "best epoch",
    "mean_last_10_test_accuracy": "mean of the last 10",
    "median_cycle_seconds": "training, s per epoch",
    "median_inference_seconds": "inference, s",
}
WITHOUT = {"cr": "w/o CR", "aux": "w/o Aux.", "eps": "ε fixed", "cl": "w/o CL"}


def read_results(folder: Path) -> tuple[list[Record], list[str]]:
    """Records of `noisyflywheel reproduce` in a folder and below it, and what was left out and why.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it holds no record.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    records, left_out = [], []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = read_json(path)
        except ValueError as error:
            left_out.append(str(error))
            continue
        if record["status"] == "done" and "result" in record:
            records.append(record)
        else:
            left_out.append(f"{path} is not done: {len(record['cycles'])} cycles so far")
    if not records:
        more = f" ({left_out[0]})" if left_out else ""
        raise ValueError(f"{folder} holds no finished result of `noisyflywheel reproduce`{more}")
    return records, left_out


def write_tables(records: Iterable[Record]) -> str:
    """Markdown of every table that has a run, and one of the runs that are in no table.

    Records without a result, of runs that ended early, are left out.
    """
    records = [record for record in records if "result" in record]
    parts, shown = [INTRODUCTION], set()
    for number, title in TITLES.items():
        lines = []
        for cell in (c for c in cells() if c.table == number):
            matching = [r for r in records if matches(cell, r)]
            shown |= {id(r) for r in matching if number != 7}
            lines += _lines(cell, matching)
        if lines:
            parts.append(_table(title, lines))
    others = [r for r in records if id(r) not in shown]
    if others:
        lines = [_line(_label(group[0]["setup"]), LAST, None, group) for group in groups(others)]
        parts.append(_table("Not in the paper", lines))
    return "\n\n".join(parts) + "\n"


def matches(cell: Cell, record: Record) -> bool:
    """Whether a run belongs beside a number of the paper."""
    setup = record["setup"]
    if setup["dataset"] != cell.dataset or cell.metric not in record["result"]:
        return False
    if cell.noise == "any":
        whole = setup["n_train"] is None and setup["n_test"] is None
        return whole and setup["without"] is None and setup["net"] in (None, "preact18")
    return (setup["noise"], setup["rate"], setup["without"]) == (cell.noise, cell.rate, cell.without)


def groups(records: Iterable[Record], by_device: bool = False) -> list[list[Record]]:
    """Runs that differ in nothing but the seed, and the device if asked for."""
    found: dict[str, list[Record]] = {}
    for record in records:
        key = {name: value for name, value in record["setup"].items() if name != "seed"}
        device = record["environment"]["device"] if by_device else ""
        found.setdefault(repr((sorted(key.items()), record["data"]["note"], device)), []).append(record)
    return list(found.values())


def _lines(cell: Cell, records: list[Record]) -> list[str]:
    """One row for each way in which the cell was run; Table 7 by device as well."""
    found = []
    for group in groups(records, by_device=cell.table == 7):
        if cell.table == 7:
            found += [_seconds(cell, group)]
            continue
        label = _label(group[0]["setup"]) + (f", {METRICS[cell.metric]}" if cell.metric != LAST else "")
        found.append(_line(label, cell.metric, cell.value, group))
    return found


def _line(label: str, metric: str, paper: float | None, group: list[Record]) -> str:
    """A row: what, the paper, the last cycle, the best beside it, seeds, how."""
    value = _spread([r["result"][metric] for r in group])
    best = _spread([r["result"]["best_test_accuracy"] for r in group])
    stated = "" if paper is None else f"{paper:g}"
    seeds = ", ".join(str(r["setup"]["seed"]) for r in sorted(group, key=lambda r: r["setup"]["seed"]))
    return f"| {label} | {stated} | **{value}** | {best} | {seeds} | {how(group[0])} |"


def _seconds(cell: Cell, group: list[Record]) -> str:
    """A row of Table 7: medians in seconds, and the device."""
    value = statistics.median(r["result"][cell.metric] for r in group)
    device = group[0]["environment"]["device"]
    seeds = ", ".join(sorted({str(r["setup"]["seed"]) for r in group}))
    label = f"{METRICS[cell.metric]}; {_label(group[0]['setup'])}"
    return f"| {label} | {cell.value:g} | **{value:.3g}** | | {seeds} | {how(group[0])}; {device} |"


def _spread(values: list[float]) -> str:
    """Mean and standard deviation in per cent."""
    mean = f"{100 * statistics.fmean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * statistics.stdev(values):.2f}"


def _label(setup: Record) -> str:
    """Data set and noise in words."""
    rate = "" if setup["rate"] is None else f"-{100 * setup['rate']:g} %"
    kind = "" if setup["noise"] == "real" else f" {setup['noise']}{rate}"
    return f"{setup['dataset']}{kind}" + (f", {WITHOUT[setup['without']]}" if setup["without"] else "")


def how(record: Record) -> str:
    """In what a run differs from the paper's recipe."""
    setup = record["setup"]
    parts = ["fast schedule" if setup["fast"] else "paper's recipe", f"{setup['form']} form"]
    parts += [f"{setup['net']} net"] if setup["net"] else []
    counted = (("epochs", "epochs"), ("warmup", "of warm-up"), ("n_train", "rows"), ("n_test", "test rows"))
    parts += [f"{setup[key]:,} {word}" for key, word in counted if setup[key] is not None]
    parts += [f"labels {setup['labels']}"] if setup["labels"] else []
    parts += [f"{name}={value}" for name, value in setup["changes"].items()]
    parts += [record["data"]["note"].partition(":")[0]] if record["data"]["note"] else []
    return ", ".join(parts)


def _table(title: str, lines: list[str]) -> str:
    """A Markdown table under its title."""
    head = "| | paper | last | best | seeds | how |\n|---|---|---|---|---|---|"
    return "\n".join([f"### {title}\n", head, *lines])
