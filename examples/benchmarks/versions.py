"""Claim: a change of the code did not change what the defaults do, or by how much it did.

Each revision's own ``core_bars.py`` runs on that revision's sources, one after the other; the table has test accuracy
and AUROC of the ranking score of all of them side by side. ``FOLDER`` keeps one file of results for each revision, and
one that is there is not run again.

    python examples/benchmarks/versions.py FOLDER REVISION REVISION --sets digits
    python examples/benchmarks/versions.py FOLDER 27580c9 HEAD --sets banking77,agnews,labelme --data DIR --out FILE
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEASURES = {"test_accuracy": "test", "auroc_label_quality": "AUROC"}


def sources(revision, folder):
    """The files of a revision, in a folder."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)


def measure(revision, options, result):
    """Run the benchmark of one revision on its own sources."""
    with tempfile.TemporaryDirectory() as folder:
        sources(revision, folder)
        script = Path(folder) / "examples" / "benchmarks" / "core_bars.py"
        part = result.with_suffix(".part")
        command = [sys.executable, str(script), *options, "--out", str(part)]
        subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": folder}, check=True)
        part.rename(result)


def table(results):
    """Lines of a Markdown table: a set and a seed a row, the measures of each revision."""
    rows = {name: {(row["set"], row["seed"]): row for row in rows} for name, rows in results.items()}
    titles = [f"{short} {name}" for short in MEASURES.values() for name in rows]
    lines = ["| set | seed | " + " | ".join(titles) + " |", "|" + "---|" * (len(titles) + 2)]
    for key in next(iter(rows.values())):
        cells = [number(of.get(key, {}).get(measure)) for measure in MEASURES for of in rows.values()]
        lines.append(f"| {key[0]} | {key[1]} | " + " | ".join(cells) + " |")
    return lines


def number(value):
    """A cell: four digits, or empty where there is no such figure."""
    return "" if value is None else f"{value:.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where results are kept")
    parser.add_argument("revisions", nargs="+", help="anything that git understands")
    parser.add_argument("--sets", default="digits")
    parser.add_argument("--data", default=None, help="folder of the embedding sets")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--out", type=Path, default=None, help="file for the table")
    args = parser.parse_args()
    options = ["--sets", args.sets, "--seeds", args.seeds]
    options += ["--data", str(Path(args.data).resolve())] if args.data else []
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for revision in args.revisions:
        asked = ["git", "rev-parse", "--short", f"{revision}^{{commit}}"]
        name = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
        result = folder / f"{name}_{args.sets.replace(',', '_')}_{args.seeds.replace(',', '_')}.json"
        if not result.exists():
            measure(name, options, result)
        results[name] = json.loads(result.read_text())["rows"]
    lines = table(results)
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
