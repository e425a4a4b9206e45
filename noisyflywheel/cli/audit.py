"""`noisyflywheel audit`: from a labelled file or image folder to issues, a cleaned file and a report."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.pipeline import make_pipeline

from noisyflywheel.audit.changes.apply import undo_all
from noisyflywheel.audit.changes.cleaned import cleaned_bytes, flagged_bytes
from noisyflywheel.audit.changes.decisions import planned_changes
from noisyflywheel.audit.changes.workspace import (
    Origin,
    csv_bytes,
    issues_name,
    relative,
    save_origin,
    sha256,
)
from noisyflywheel.audit.report.page import write_report
from noisyflywheel.audit.rows.matching import with_identity
from noisyflywheel.audit.scores.judging import judge_rows
from noisyflywheel.audit.scores.table import TableAudit
from noisyflywheel.cli.audit_options import add_options, check_job, check_options, reading_of
from noisyflywheel.cli.inputs import Job, folder_job, table_job
from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.persistence.whole import replace_file, whole_file

MAX_COLUMNS = 40
CHECKPOINT = "checkpoint"
SETTINGS = ("cv", "groups", "cycles", "seed", "policy", "min_confidence", "text", "embedder", "features", "image_size")

OPTIONS = (*SETTINGS, "label", "missing", "delimiter", "encoding", "device", "title")
"""What a second look needs to know of the first."""


def add_parser(subcommands: Any) -> None:
    """Describe the subcommand."""
    add_options(subcommands).set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, look, train, judge, write."""
    check_options(arguments)
    start = time.perf_counter()
    job = read_job(arguments)
    check_job(job, arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    audit = fit_and_judge(job, arguments)
    undo_all(arguments.out)
    name = write_all(job, audit, arguments)
    replace_file(arguments.out / f"cleaned{job.file.ending}", _cleaned(job, audit.issues, arguments))
    shutil.rmtree(arguments.out / CHECKPOINT, ignore_errors=True)
    n = int(audit.issues["is_label_issue"].sum())
    say(f"done in {time.perf_counter() - start:.0f} s")
    print(f"{n:,} of {len(audit.issues):,} labels are suspect ({n / len(audit.issues):.1%}).")
    for warning in audit.warnings:
        print(f"Look at this first: {warning}")
    if name != "issues.csv":
        print(f"issues.csv was there and is not overwritten: see {arguments.out / name}")
    print(f"Look at {arguments.out / 'report.html'}")
    return 0


def read_job(arguments: argparse.Namespace) -> Job:
    """What the options name, read and looked at."""
    say(f"reading {arguments.input}")
    reading = reading_of(arguments)
    job = folder_job(arguments.input, reading) if arguments.input.is_dir() else table_job(arguments.input, reading)
    say_what_was_read(job)
    return job


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def say_what_was_read(job: Job) -> None:
    """Labels, columns and findings, before the training."""
    say(f"{len(job.labels):,} labels, {job.labels.nunique()} classes, {job.what}")
    if job.encoder is not None:
        for line in column_lines(job.encoder.columns_):
            say(f"  {line}")
    for note in job.notes:
        say(f"  {note}")
    for finding in job.findings:
        rows = ", ".join(map(str, finding.rows[:5])) + (", …" if len(finding.rows) > 5 else "")
        say(f"  {finding.text}" + (f" Rows {rows}" if rows else ""))


def column_lines(columns: pd.DataFrame) -> list[str]:
    """The table of columns as lines of text."""
    wide = max(6, *(len(name) for name in columns["column"]))
    lines = [f"{'column':<{wide}}  taken as  missing  remark"]
    for line in columns.head(MAX_COLUMNS).itertuples():
        lines.append(f"{line.column:<{wide}}  {line.taken_as:<8}  {line.share_missing:>7.0%}  {line.remark}".rstrip())
    if len(columns) > MAX_COLUMNS:
        lines.append(f"and {len(columns) - MAX_COLUMNS:,} more, all in the report")
    return lines


def fit_and_judge(job: Job, arguments: argparse.Namespace, known: pd.DataFrame | None = None) -> TableAudit:
    """The model trained on all rows, and its verdicts or those by cross-validation; some labels may be known."""
    classifier = FlywheelClassifier(
        n_cycles=arguments.cycles or "auto", random_state=arguments.seed, device=arguments.device
    )
    cv = arguments.cv or (5 if job.groups is not None else None)
    n_rows, *shape = job.X.shape
    say(f"training on {n_rows:,} rows of {' × '.join(map(str, shape))} {'features' if len(shape) == 1 else 'values'}")
    if cv is not None:
        say(f"then judging each row by a model that never saw it, {cv} fits")
    checkpoint = arguments.out / CHECKPOINT if arguments.checkpoint else None
    judged, said = judge_rows(
        job.X, job.labels, classifier, cv, job.groups, arguments.seed, known, progress=None, checkpoint=checkpoint
    )
    model = classifier if job.encoder is None else make_pipeline(job.encoder, classifier)
    issues = with_identity(judged.get_label_issues(), job.file.frame, job.label, job.positions)
    columns = None if job.encoder is None else job.encoder.columns_
    return TableAudit(issues, judged, model, columns, job.findings, said)


def write_all(job: Job, audit: TableAudit, arguments: argparse.Namespace, decisions: pd.DataFrame | None = None) -> str:
    """Issues, report and model in the folder of --out; the name of the table of issues."""
    out = arguments.out
    say(f"writing {out}")
    name = issues_name(out, arguments.force)
    listed = pd.concat([audit.issues.reset_index(drop=True), job.names.reset_index(drop=True)], axis=1)
    issues = replace_file(out / name, csv_bytes(listed.sort_values("label_quality", kind="stable")))
    save_origin(out, _origin(job, arguments, issues))
    with whole_file(out / "model.joblib") as part:
        joblib.dump(audit.model, part)
    settings = {"input": arguments.input.name, "label": job.label}
    settings |= {key: value for key in SETTINGS if (value := getattr(arguments, key)) is not None}
    settings |= {f"note {i + 1}": note for i, note in enumerate(job.notes)}
    title = arguments.title or f"Label audit of {arguments.input.name}"
    write_report(
        out / "report.html",
        audit,
        job.shown,
        texts=job.texts,
        title=title,
        settings=settings,
        files=_pictures(job, arguments),
        decisions=decisions,
        features=job.X,
    )
    return name


def _pictures(job: Job, arguments: argparse.Namespace) -> list[str] | None:
    """Paths of the pictures as seen from the report; None for a table."""
    if "path" not in job.names or not arguments.input.is_dir():
        return None
    return [relative(arguments.input / name, arguments.out) for name in job.names["path"]]


def _origin(job: Job, arguments: argparse.Namespace, issues: Path) -> Origin:
    """Record of what was judged; the manifest of a folder is written first."""
    path, reading = job.file.path, reading_of(arguments)
    is_ours = path == Path("manifest.csv")
    if is_ours:
        path = replace_file(arguments.out / path, job.file.rendered({}))
    return Origin(
        table=relative(path, arguments.out),
        label=job.label,
        delimiter=reading.delimiter,
        encoding=None if is_ours else reading.encoding,
        missing=list(reading.missing),
        issues=issues.name,
        issues_sha256=sha256(issues),
        input=relative(arguments.input, arguments.out),
        options={name: getattr(arguments, name) for name in OPTIONS},
    )


def _cleaned(job: Job, issues: pd.DataFrame, arguments: argparse.Namespace) -> bytes:
    """The cleaned file after --policy."""
    if arguments.policy == "flag":
        return flagged_bytes(job.file, job.label, issues, arguments.min_confidence)
    return cleaned_bytes(job.file, job.label, planned_changes(issues, arguments.policy, arguments.min_confidence))
