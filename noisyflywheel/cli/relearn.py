"""`noisyflywheel relearn`: a second audit that takes the decisions of people as known labels."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyflywheel.audit.changes.decisions import check_decisions, known_labels, overruled_rows
from noisyflywheel.audit.changes.workspace import Origin, csv_bytes, load_origin, open_issues
from noisyflywheel.audit.rows.matching import match_rows, read_issues
from noisyflywheel.cli.apply import overruled_note
from noisyflywheel.cli.audit import fit_and_judge, read_job, say, write_all
from noisyflywheel.cli.inputs import Job
from noisyflywheel.cli.parsers import add_files, folder_parser
from noisyflywheel.persistence.whole import replace_file

EXAMPLES = """examples:
  noisyflywheel audit orders.csv --label category --out audit
  noisyflywheel review audit
  noisyflywheel relearn audit        the undecided rows are judged anew
  noisyflywheel review audit         and so on
  noisyflywheel apply audit

writes issues.csv, report.html and model.joblib of the folder anew; decisions.csv stays."""


def add_parser(subcommands: Any) -> None:
    """Describe the subcommand."""
    parser = folder_parser(
        subcommands,
        "relearn",
        help="judge the undecided labels anew, with what people decided",
        description="Trains again with the options of the audit. Accepted and set labels, and those confirmed by "
        "a rejection, are known to be right; dropped rows are left out; all other labels are judged anew.",
        epilog=EXAMPLES,
    )
    add_files(parser, decisions="add these to decisions.csv in DIR (default: that alone)")
    parser.add_argument("--force", action="store_true", help="overwrite an issues.csv that was edited")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the decisions, train, judge, write."""
    start, folder = time.perf_counter(), arguments.folder
    origin = load_origin(folder)
    issues, decisions = open_issues(folder, origin), all_decisions(folder, arguments.decisions)
    known = known_labels(issues, decisions)
    if known.empty:
        raise ValueError("nothing is decided yet: `noisyflywheel review` first")
    options = options_of(origin, arguments)
    job = read_job(options)
    known = known.assign(place=places_in(job, issues, known["place"].to_numpy()))
    say(f"{len(known):,} rows are decided and known")
    audit = fit_and_judge(job, options, known)
    name = write_all(job, audit, options, decisions)
    replace_file(folder / "decisions.csv", csv_bytes(decisions))
    n, left = int(audit.issues["is_label_issue"].sum()), len(audit.issues) - len(known)
    say(f"done in {time.perf_counter() - start:.0f} s")
    print(f"{len(known):,} labels are decided; {n:,} of the other {left:,} are suspect.")
    for warning in audit.warnings:
        print(f"Look at this first: {warning}")
    print(f"Look at {folder / 'report.html'}" + ("" if name == "issues.csv" else f" and {folder / name}"))
    return 0


def all_decisions(folder: Path, more: Path | None) -> pd.DataFrame:
    """Decisions of the folder and of one more file, whose word counts.

    Raises
    ------
    ValueError
        If there are none.
    """
    own = folder / "decisions.csv"
    paths = [path for path in (own if own.is_file() else None, more) if path is not None]
    if not paths:
        raise ValueError(f"{folder} has no decisions.csv: `noisyflywheel review` first, or name --decisions FILE")
    made = [read_issues(path) for path in paths]
    for path, lines in zip(paths, made, strict=True):
        if note := overruled_note(overruled_rows(lines)):
            say(f"{path}: {note}")
    return check_decisions(pd.concat([check_decisions(lines) for lines in made], ignore_index=True))


def options_of(origin: Origin, arguments: argparse.Namespace) -> argparse.Namespace:
    """The options of the audit.

    Raises
    ------
    ValueError
        If the record lacks them, or what was judged is not there.
    """
    if not origin.options:
        raise ValueError(f"{arguments.folder} was made by an earlier version: audit again")
    path = arguments.input or arguments.folder / origin.input
    if not path.exists():
        raise ValueError(f"{path}, which was judged, is not there; name its place with --input")
    return argparse.Namespace(
        **origin.options, input=path, out=arguments.folder, force=arguments.force, checkpoint=False
    )


def places_in(job: Job, issues: pd.DataFrame, places: np.ndarray) -> np.ndarray:
    """Positions in the job of some lines of issues, of shape (m,).

    Raises
    ------
    ValueError
        If the file has other rows by now.
    """
    at = match_rows(issues, job.file.frame, job.file.frame[job.label], job.label)[places]
    if not np.isin(at, job.positions).all():
        raise ValueError("a decided row has no label or cannot be read any more")
    return np.searchsorted(job.positions, at)
