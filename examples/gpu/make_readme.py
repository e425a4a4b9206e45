"""README.md of this folder, made from its results: run it again after a line has come in.

python examples/gpu/make_readme.py            # writes README.md
python examples/gpu/make_readme.py --check    # says whether README.md is what the results give
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOTHING = "Nothing has been measured on CUDA yet: there is no line of a CUDA device in `results/`."
JPEG = "All accuracies here are on JPEG copies of CIFAR-10; they lie a little below those on the original pixels."
NEEDED = {"job", "part", "device_type", "scale", "device", "versions"}
"""What a line must have."""

STEPS = ("main_e", "auxiliary_e", "auxiliary_m", "resample", "main_m", "views", "cycle")
HEAD = """# On a GPU

One command for everything that a GPU is needed for: tests, speed, memory, accuracy. It can be called again until all
is done, and goes on where it stopped.

```sh
python examples/gpu/run.py --out DIR --dry                                # the jobs, with estimated minutes
python examples/gpu/run.py --out DIR --minutes 9 --data cifar10n.npz      # as many as fit
python examples/gpu/run.py --out DIR --device cpu --scale tiny --minutes 5  # that everything runs, on a CPU
```

`DIR` then holds one JSON-lines file for each part, every line with device, versions and command. Copied to `results/`,
`python examples/gpu/make_readme.py` makes the tables below from them. The archive of `--data` is described in
[cifar10n_archive.py](../benchmarks/cifar10n_archive.py); without it the accuracy part is skipped
until a later call has it.

| part | what |
|---|---|
| tests | [tests/cuda](../../tests/cuda), those marked `cuda` |
| [cycle](cycle.py) | seconds of a cycle on 50,000 pictures, by step and by variant, beside a plain reference loop |
| [throughput](throughput.py) | inference, views per second, pictures on the device beside a DataLoader |
| [vectors](vectors.py) | digits and embeddings, CPU beside GPU |
| [accuracy](accuracy.py) | CIFAR-10 from JPEG copies: the paper's recipe shortened to the time, beside plain training |
| [two_gpus](two_gpus.py) | data-parallel training on two devices |

"""


def notes(folder: Path) -> str:
    """What is to be known about the lines, written by hand."""
    path = folder / "NOTES.md"
    return path.read_text(encoding="utf-8") + "\n" if path.is_file() else ""


def read(folder: Path) -> list[dict[str, Any]]:
    """Lines of full runs on CUDA, the last one of each job and device; damaged ones are left out, and named."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, text in enumerate(path.read_bytes().splitlines(), 1):
            line = parsed(text)
            if line is None:
                print(f"{path.name}, line {number}: damaged, left out", file=sys.stderr)
            elif (line["device_type"], line["scale"]) == ("cuda", "full"):
                found[line["device"], line["job"]] = line
    return list(found.values())


def parsed(text: bytes) -> dict[str, Any] | None:
    """A line, or None where it was cut short or is none of ours; empty ones too."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and line.keys() >= NEEDED else None


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table; numbers with four significant digits."""
    lines = [list(head), ["---"] * len(list(head)), *rows]
    return "\n".join(f"| {' | '.join(map(shown, line))} |" for line in lines) + "\n"


def shown(value: Any) -> str:
    """A cell."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return "" if value is None else str(value)


def tests(lines: list[dict[str, Any]]) -> str:
    """Counts of the suite, and the names of what failed."""
    found = lines[-1]["result"]
    said = f"{found['passed']} passed, {len(found['failed'])} failed, {found['skipped']} skipped.\n"
    said += "".join(f"- {name}\n" for name in found["failed"])
    if "unfinished" in found:
        said += "\nThey ended early; under way were:\n"
        said += "".join(f"- {name}\n" for name in found["unfinished"])
    return said


def cycle(lines: list[dict[str, Any]]) -> str:
    """Seconds of each step by variant, the share of the peak, and the reference."""
    eager = next((line["result"] for line in lines if line["job"] == "cycle eager"), {})
    of_peak = (
        eager["flop"] / eager["peak_flop_per_second"] if eager.keys() >= {"flop", "peak_flop_per_second"} else None
    )
    rows = []
    for line in lines:
        found = line["result"]
        share = of_peak and of_peak / found["cycle"]["cycle"]
        seconds = [found["cycle"][step] for step in STEPS]
        name = line["job"].removeprefix("cycle ")
        rows.append([name, *seconds, share, found["first_cycle_seconds"], found.get("peak_memory_gib")])
    head = ["variant", *(f"{step}, s" for step in STEPS), "share of peak", "first cycle, s", "peak memory, GiB"]
    text = table(head, rows)
    text += (
        "\nThe steps are those of Figure 2; the views are inside the steps. The peak is that of one large bf16 matrix\n"
    )
    text += "product; the first cycle includes compilation.\n"
    for name, why in eager.get("failed", {}).items():
        text += f"\n{name} of the eager form: failed ({reason(why)}).\n"
    if "reference" in eager:
        peer = eager["reference"]
        text += f"\nThe reference takes {peer['ratio']:.1f} times as long as the eager form for each picture\n"
        text += f"({peer['seconds']:.2f} s for {peer['pictures']:,} pictures, {peer['workers']} workers).\n"
    return text


def throughput(lines: list[dict[str, Any]]) -> str:
    """Inference, views, sources of pictures."""
    found = {line["job"]: line["result"] for line in lines}
    text = ""
    if "inference" in found:
        one = found["inference"]
        text += f"Inference on {one['pictures']:,} pictures in host memory: {one['best_seconds']:.3f} s"
        text += f" ({one['first_seconds']:.2f} s the first time); the paper: .97 s.\n\n"
    if "views" in found:
        sizes = list(found["views"]["weak"])
        rows = [[kind, *found["views"][kind].values()] for kind in found["views"]]
        text += table(["pictures per second, by batch", *sizes], rows) + "\n"
    if "resident" in found:
        one = found["resident"]
        names = {"on the device": "on the device", "pinned host memory": "pinned host memory", "loader": "DataLoader"}
        text += table(["weak views from", "pictures per second"], [[shown, one[key]] for key, shown in names.items()])
    return text


def vectors(lines: list[dict[str, Any]]) -> str:
    """Seconds on both devices."""
    rows = []
    for line in lines:
        found = line["result"]
        here, there = found["cpu"], found["cuda"]
        times = [here["fit_seconds"], there["fit_seconds"], here["cycle_seconds"], there["cycle_seconds"]]
        rows.append([line["job"], f"{found['rows']:,} x {found['features']}", found["cpu_threads"], *times])
    head = ["data", "shape", "CPU threads", "fit, CPU, s", "fit, GPU, s", "cycle, CPU, s", "cycle, GPU, s"]
    return table(head, rows)


def accuracy(lines: list[dict[str, Any]]) -> str:
    """One row for each run."""
    rows = []
    for line in lines:
        one = line["result"]
        numbers = [one.get(key) for key in ("n_cycles", "passes", "test_accuracy", "mean_of_last")]
        rows.append([one["set"], one["method"], one["wrong_labels"], *numbers, one.get("auroc")])
        rows[-1] += [one.get("average_precision"), one.get("refurbished_accuracy"), one["run_seconds"] / 60]
    head = ["labels", "method", "wrong", "cycles", "passes of f", "test accuracy", "mean of the last 10"]
    head += ["AUROC of wrong labels", "average precision", "refurbished labels right", "minutes"]
    methods = (
        "`paper` is the paper's loop and recipe, shortened; `whole` all its 300 epochs; `ours` the package's form of\n"
    )
    methods += "the loop; `fast` is `recipes.cifar10_fast`; `plain` is cross-entropy for as many passes as f has.\n"
    return f"{JPEG}\n\n{table(head, rows)}\n{methods}Runs were beside others on one card, except sym50 paper.\n"


def two_gpus(lines: list[dict[str, Any]]) -> str:
    """Rates and efficiency."""
    one = lines[-1]["result"]
    return table(["pictures/s on one", "on two", "efficiency"], [[one["one"], one["two"], one["efficiency"]]])


PARTS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], str]]] = {
    "tests": ("Tests", tests),
    "cycle": ("A cycle of PreAct ResNet-18 on 50,000 pictures of 32 x 32", cycle),
    "throughput": ("Inference, views and pictures on the device", throughput),
    "vectors": ("Tables and embeddings", vectors),
    "accuracy": ("CIFAR-10 (JPEG copies)", accuracy),
    "two_gpus": ("Two GPUs", two_gpus),
}


def section(part: str, lines: list[dict[str, Any]]) -> str:
    """Title, table, what was skipped or failed."""
    title, make = PARTS[part]
    measured = [line for line in lines if "result" in line]
    text = f"### {title}\n\n" + (make(measured) if measured else "")
    for line in lines:
        if "skipped" in line:
            text += f"\n{line['job']}: skipped ({line['skipped']}).\n"
        if "error" in line:
            text += f"\n{line['job']}: failed ({reason(line['error'])}).\n"
    return text + "\n"


def reason(error: str) -> str:
    """The line of a traceback that names the error; CUDA's and the compiler's have advice below it."""
    lines = error.strip().splitlines()
    return ([line for line in lines if re.match(r"[\w.]+(Error|Exception|Failed|Expired)\b", line)] or lines)[-1]


def versions(lines: list[dict[str, Any]]) -> str:
    """Every set of versions that the lines have, without the commits."""
    plain = [{key: value for key, value in line["versions"].items() if key != "commit"} for line in lines]
    known = sorted({", ".join(f"{key} {value}" for key, value in one.items()) for one in plain})
    return "; or ".join(known)


def readme(folder: Path) -> str:
    """The whole file."""
    lines = read(folder)
    text = HEAD + "## Results\n\n"
    if not lines:
        return text + NOTHING + "\n"
    text += notes(folder)
    for device in sorted({line["device"] for line in lines}):
        mine = [line for line in lines if line["device"] == device]
        text += f"Device: {device}. Versions: {versions(mine)}.\n\n"
        for part in PARTS:
            if its := [line for line in mine if line["part"] == part]:
                text += section(part, its)
    return text.rstrip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write README.md or compare with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--readme", type=Path, default=HERE / "README.md")
    parser.add_argument("--check", action="store_true", help="write nothing, fail where README.md is another")
    args = parser.parse_args(arguments)
    text = readme(args.results)
    if args.check:
        same = args.readme.exists() and args.readme.read_text(encoding="utf-8") == text
        print("README.md is what the results give" if same else "README.md is out of date: run make_readme.py")
        return 0 if same else 1
    args.readme.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
