"""`noisyflywheel audit`: from a labelled file or image folder to issues, a cleaned file and a report."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from noisyflywheel.audit.corrections import apply_corrections
from noisyflywheel.audit.cross_val import cross_val_audit
from noisyflywheel.audit.files import write_table
from noisyflywheel.audit.report import write_report
from noisyflywheel.cli.inputs import Job, folder_job, table_job
from noisyflywheel.estimator.classifier import FlywheelClassifier

EXAMPLES = """examples:
  noisyflywheel audit orders.csv --label category --out audit
  noisyflywheel audit tickets.csv --label team --text message --out audit
  noisyflywheel audit tickets.parquet --label team --text message --embedder all-MiniLM-L6-v2 --out audit
  noisyflywheel audit patients.csv --label diagnosis --features age,weight,visit_date --cv 5 --out audit
  noisyflywheel audit pictures/ --out audit --policy drop

writes into the folder of --out:
  issues.csv       each label with quality, suggestion and confidence, worst first
  cleaned.csv      the data after --policy (.parquet for .parquet; the manifest of an image folder)
  report.html      one page to look at; needs no network
  model.joblib     the trained classifier with its encoding of the columns

exit codes: 0 done, 2 something in the input or the options is wrong, 130 interrupted"""


def add_parser(subcommands: Any) -> None:
    """Describe the subcommand."""
    parser = subcommands.add_parser(
        "audit",
        help="find the wrong labels of a table or image folder",
        description="Finds the labels that are probably wrong in a CSV or Parquet file, or in a folder of "
        "images with one subfolder per class, and says what they should be.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", type=Path, help="a .csv, .tsv or .parquet file, or a folder of images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results; made if needed")
    data = parser.add_argument_group("what to read")
    data.add_argument("--label", metavar="COLUMN", help="column with the labels (tables)")
    data.add_argument("--text", metavar="COLUMN", help="learn from the texts of this column")
    data.add_argument("--embedder", metavar="NAME", help="sentence-transformers model for --text; without it TF-IDF")
    data.add_argument(
        "--features", metavar="A,B,…", help="learn from these columns only (default: all that can be used)"
    )
    data.add_argument("--image-size", type=int, default=32, metavar="PIXELS", help="side of the images (default 32)")
    _add_training_options(parser)
    parser.set_defaults(run=run)


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    """Options of the fit and of what is done with the suspects."""
    learn = parser.add_argument_group("how to judge")
    learn.add_argument("--cv", type=int, metavar="K", help="judge each row by a model that never saw it (K fits more)")
    learn.add_argument("--cycles", type=int, default=50, help="cycles of training (default 50)")
    learn.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    learn.add_argument("--device", default="auto", help="auto, cpu, cuda … (default auto)")
    clean = parser.add_argument_group("what to do with suspects in the cleaned file")
    clean.add_argument(
        "--policy",
        choices=("drop", "refurbish", "flag"),
        default="flag",
        help="remove them, give them the suggested label, or mark them (default)",
    )
    clean.add_argument(
        "--min-confidence",
        type=float,
        default=0.0,
        metavar="P",
        help="act only on suggestions at least this sure, 0 to 1 (default 0)",
    )
    clean.add_argument("--title", help="title of the report")


def run(arguments: argparse.Namespace) -> int:
    """Read, train, judge, write."""
    check_options(arguments)
    start = time.perf_counter()
    job = _read(arguments)
    say(f"{len(job.labels):,} labels, {job.labels.nunique()} classes, {job.what}")
    for note in job.notes:
        say(f"  {note}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    model, audit = fit_and_judge(job, arguments)
    issues = audit.get_label_issues()
    write_all(job, model, audit, issues, arguments)
    n = int(issues["is_label_issue"].sum())
    say(f"done in {time.perf_counter() - start:.0f} s")
    print(f"{n:,} of {len(issues):,} labels are suspect ({n / len(issues):.1%}).")
    print(f"Look at {arguments.out / 'report.html'}")
    return 0


def check_options(arguments: argparse.Namespace) -> None:
    """Refuse what cannot work before anything is read.

    Raises
    ------
    ValueError
        In words that name the option.
    """
    if not arguments.input.exists():
        raise ValueError(f"{arguments.input} does not exist")
    if arguments.out.exists() and not arguments.out.is_dir():
        raise ValueError(f"--out {arguments.out} is a file, not a folder")
    written = ("issues.csv", cleaned_name(arguments.input))
    if arguments.input.name in written and arguments.input.resolve().parent == arguments.out.resolve():
        raise ValueError(f"--out {arguments.out} would overwrite {arguments.input}")
    if not 0 <= arguments.min_confidence <= 1:
        raise ValueError("--min-confidence must lie between 0 and 1")
    if arguments.cycles < 1:
        raise ValueError("--cycles must be at least 1")
    if arguments.cv is not None and arguments.cv < 2:
        raise ValueError("--cv must be at least 2")
    if arguments.image_size < 8:
        raise ValueError("--image-size must be at least 8")
    if arguments.input.is_file() and arguments.label is None:
        raise ValueError("a table needs --label COLUMN")


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def _read(arguments: argparse.Namespace) -> Job:
    """The job of the file or folder."""
    say(f"reading {arguments.input}")
    if arguments.input.is_dir():
        return folder_job(arguments.input, arguments.image_size)
    features = [name.strip() for name in arguments.features.split(",")] if arguments.features else None
    return table_job(arguments.input, arguments.label, arguments.text, arguments.embedder, features)


def fit_and_judge(job: Job, arguments: argparse.Namespace) -> tuple[Any, Any]:
    """The model trained on all rows, and the audit: its own, or by cross-validation."""
    classifier = FlywheelClassifier(
        n_cycles=arguments.cycles,
        random_state=arguments.seed,
        device=arguments.device,
        verbose=int(sys.stderr.isatty()),
    )
    say("encoding" if job.encoder is not None else "preparing images")
    X = job.X if job.encoder is None else job.encoder.fit_transform(job.X)
    labels = job.labels.reset_index(drop=True)
    say(f"training on {X.shape[0]:,} rows of {' × '.join(map(str, X.shape[1:]))}")
    classifier.fit(np.ascontiguousarray(X), labels)
    model = classifier if job.encoder is None else make_pipeline(job.encoder, classifier)
    if arguments.cv is None:
        return model, classifier
    say(f"judging each row by a model that never saw it, {arguments.cv} fits")
    quiet = FlywheelClassifier(**{**classifier.get_params(deep=False), "verbose": 0})
    return model, cross_val_audit(quiet, X, labels, cv=arguments.cv, random_state=arguments.seed)


def cleaned_name(path: Path) -> str:
    """Name of the cleaned file: Parquet stays Parquet."""
    return "cleaned.parquet" if path.suffix.lower() == ".parquet" else "cleaned.csv"


def write_all(job: Job, model: Any, audit: Any, issues: pd.DataFrame, arguments: argparse.Namespace) -> None:
    """Issues, cleaned file, report and model in the folder of --out."""
    out = arguments.out
    say(f"writing {out}")
    table = issues.sort_values("label_quality", kind="stable")
    names = job.names.iloc[table.index].reset_index(drop=True)
    write_table(pd.concat([names, table.reset_index(drop=True)], axis=1), out / "issues.csv")
    cleaned = apply_corrections(
        job.audited(), issues, arguments.policy, label=job.label, min_confidence=arguments.min_confidence
    )
    write_table(job.restored(cleaned), out / cleaned_name(arguments.input))
    joblib.dump(model, out / "model.joblib")
    chosen = (
        "cv",
        "cycles",
        "seed",
        "policy",
        "min_confidence",
        "text",
        "embedder",
        "features",
        "image_size",
    )
    settings = {"input": arguments.input.name, "label": job.label}
    settings |= {name: getattr(arguments, name) for name in chosen if getattr(arguments, name) is not None}
    settings |= {f"note {i + 1}": note for i, note in enumerate(job.notes)}
    title = arguments.title or f"Label audit of {arguments.input.name}"
    write_report(out / "report.html", audit, job.shown, texts=job.texts, title=title, settings=settings)
