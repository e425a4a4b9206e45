"""Options of `noisyflywheel audit`, and what is refused before anything is read."""

from __future__ import annotations

import argparse
import codecs
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import torch

from noisyflywheel.audit.changes.apply import BACKUP, LOG
from noisyflywheel.audit.changes.cleaned import check_flags
from noisyflywheel.audit.changes.workspace import RECORD
from noisyflywheel.audit.files.table_file import READABLE, endings, first_line
from noisyflywheel.cli.inputs import Job, Reading
from noisyflywheel.cli.parsers import check_training, command_parser
from noisyflywheel.data.paths import user_path

EXAMPLES = """examples:
  noisyflywheel audit orders.csv --label category --out audit
  noisyflywheel audit tickets.csv --label team --text message --out audit
  noisyflywheel audit tickets.parquet --label team --text message --embedder all-MiniLM-L6-v2 --out audit
  noisyflywheel audit visits.csv --label diagnosis --groups patient --missing NA,? --out audit
  noisyflywheel audit pictures/ --out audit --policy drop

writes into the folder of --out:
  issues.csv       each label with its row, quality, suggestion and confidence, worst first
  cleaned.csv      the file after --policy: the same bytes but for labels, dropped rows and marks
                   (cleaned.parquet for .parquet and so on; the manifest of an image folder)
  report.html      one page to look at and decide on; needs no network
  model.joblib     the trained classifier with its encoding of the columns
  audit.json       which file was judged and how, for `noisyflywheel review`, `relearn` and `apply`

exit codes: 0 done, 2 something in the input or the options is wrong, 130 interrupted"""

NAME = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^,]*?))\s*,')
"""A name in a list of them, in quotes or bare, and the comma behind it."""


def add_options(subcommands: Any) -> argparse.ArgumentParser:
    """Parser of the subcommand."""
    parser = command_parser(
        subcommands,
        "audit",
        help="find the wrong labels of a table or image folder",
        description="Finds the labels that are probably wrong in a table (.csv, .tsv, .parquet, .xlsx, .json, .jsonl, "
        "also .gz or .zst), or in a folder of images with one subfolder per class, and says what they should be.",
        epilog=EXAMPLES,
    )
    parser.add_argument("input", type=user_path, help="a table, or a folder of images")
    parser.add_argument("--out", type=user_path, required=True, help="folder for the results; made if needed")
    parser.add_argument("--force", action="store_true", help="overwrite an issues.csv that was edited")
    _add_reading_options(parser)
    _add_training_options(parser)
    return parser


def _add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Options of the file and its columns."""
    data = parser.add_argument_group("what to read")
    data.add_argument("--label", metavar="COLUMN", help="column with the labels (tables, metadata of a folder)")
    data.add_argument("--text", metavar="COLUMN", help="learn from the texts of this column")
    data.add_argument("--embedder", metavar="NAME", help="sentence-transformers model for --text; without it TF-IDF")
    data.add_argument(
        "--features",
        metavar="A,B,…",
        help="learn from these columns only (default: all that can be used); a name with a comma in quotes",
    )
    data.add_argument(
        "--missing",
        metavar="A,B,…",
        help="text that stands for a missing cell (default: only empty cells are missing); with a comma in quotes",
    )
    data.add_argument("--delimiter", metavar="C", help="what parts the cells (default: found in the file)")
    data.add_argument("--encoding", metavar="NAME", help="of a text file (default: found in the file)")
    data.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the images (default 32)")


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    """Options of the fit and of what is done with the suspects."""
    learn = parser.add_argument_group("how to judge")
    learn.add_argument("--cv", type=int, metavar="K", help="judge each row by a model that never saw it (K fits more)")
    learn.add_argument(
        "--groups", metavar="COLUMN", help="judge each row by a model that saw none of its group (--cv 5 if not given)"
    )
    learn.add_argument("--cycles", type=int, help="cycles of training (default: by the data)")
    learn.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    learn.add_argument("--device", default="auto", help="auto, cpu, cuda … (default auto)")
    learn.add_argument(
        "--checkpoint", action="store_true", help="keep the state of the training in --out: the same command goes on"
    )
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


def check_options(arguments: argparse.Namespace) -> None:
    """Refuse what cannot work before anything is read.

    Raises
    ------
    ValueError
        In words that name the option.
    """
    _check_places(arguments)
    _check_numbers(arguments)
    _check_names(arguments)


def _check_places(arguments: argparse.Namespace) -> None:
    """Input and output."""
    if not arguments.input.exists():
        raise ValueError(f"{arguments.input} does not exist")
    if arguments.out.exists() and not arguments.out.is_dir():
        raise ValueError(f"--out {arguments.out} is a file, not a folder")
    written = ("issues.csv", "manifest.csv", "decisions.csv", LOG, RECORD, cleaned_name(arguments.input))
    there = (path for name in written if (path := arguments.out / name).exists())
    if any(path.samefile(arguments.input) for path in there):  # also by another spelling: Cleaned.csv on a Mac
        raise ValueError(f"--out {arguments.out} would overwrite {arguments.input}")
    if (arguments.out / BACKUP).resolve() in arguments.input.resolve().parents:
        raise ValueError(
            f"{arguments.input} is for `apply --undo` and goes with an audit into {arguments.out}: copy it"
        )
    above = next(path for path in (arguments.out, *arguments.out.resolve().parents) if path.exists())
    if not above.is_dir():
        raise ValueError(f"--out {arguments.out} cannot be made: {above} is a file, not a folder")
    if not os.access(above, os.W_OK):
        raise ValueError(f"--out {arguments.out} cannot be written")


def _check_numbers(arguments: argparse.Namespace) -> None:
    """Ranges."""
    if not 0 <= arguments.min_confidence <= 1:
        raise ValueError("--min-confidence must lie between 0 and 1")
    check_training(arguments)
    if arguments.cv is not None and arguments.cv < 2:
        raise ValueError("--cv must be at least 2")
    if arguments.image_size is not None and arguments.image_size < 8:
        raise ValueError("--image-size must be at least 8")


def _check_names(arguments: argparse.Namespace) -> None:
    """Options that go with the kind of input, and names of devices, encodings and packages."""
    table = arguments.input.is_file()
    if table and arguments.label is None:
        raise ValueError("a table needs --label COLUMN")
    for name in ("image_size",) if table else ("text", "embedder", "features", "groups", "delimiter"):
        if getattr(arguments, name) is not None:
            kind = "a folder of images" if table else "a table"
            raise ValueError(f"--{name.replace('_', '-')} is for {kind}, which {arguments.input} is not")
    for name in ("text", "groups"):
        if table and getattr(arguments, name) == arguments.label:
            raise ValueError(f"--{name} {arguments.label} is the column of the labels")
    if arguments.embedder is not None and arguments.text is None:
        raise ValueError("--embedder needs --text COLUMN")
    if arguments.embedder is not None and importlib.util.find_spec("sentence_transformers") is None:
        raise ValueError("--embedder needs sentence-transformers: pip install 'noisyflywheel[text]'")
    if arguments.delimiter is not None and len(delimiter_of(arguments.delimiter)) != 1:
        raise ValueError("--delimiter must be one character, or tab")
    if arguments.encoding is not None:
        try:
            codecs.lookup(arguments.encoding)
        except LookupError as error:
            raise ValueError(f"--encoding {arguments.encoding} is not known") from error
    check_device(arguments.device)


def check_device(name: str) -> None:
    """Refuse a device that is not there.

    Raises
    ------
    ValueError
    """
    if name == "auto":
        return
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"--device {name} cannot be used: {first_line(error)}") from error


def check_job(job: Job, arguments: argparse.Namespace) -> None:
    """Refuse folds that the rows do not allow, and flags that would overwrite the labels, before the training.

    Raises
    ------
    ValueError
    """
    if arguments.policy == "flag":
        check_flags(job.label)
    n_folds = arguments.cv or 5
    if arguments.cv is not None and job.groups is None and n_folds > (most := int(job.labels.value_counts().max())):
        raise ValueError(f"--cv {n_folds} needs a class of {n_folds} rows; the largest has {most}")
    if job.groups is not None and len(set(job.groups)) < n_folds:
        raise ValueError(f"{n_folds} folds need {n_folds} groups; {arguments.groups!r} has {len(set(job.groups))}")


def delimiter_of(text: str) -> str:
    """The character that an option names."""
    return {"tab": "\t", "\\t": "\t"}.get(text, text)


def reading_of(arguments: argparse.Namespace) -> Reading:
    """Options of reading."""
    return Reading(
        label=arguments.label,
        text=arguments.text,
        groups=arguments.groups,
        embedder=arguments.embedder,
        features=_list(arguments.features) if arguments.features else None,
        missing=tuple(_list(arguments.missing)) if arguments.missing else (),
        delimiter=None if arguments.delimiter is None else delimiter_of(arguments.delimiter),
        encoding=arguments.encoding,
        image_size=arguments.image_size or 32,
    )


def _list(text: str) -> list[str]:
    """Names between commas; those in quotes are taken as they are, with their commas and blanks."""
    return [inside.replace('""', '"') or bare for inside, bare in NAME.findall(text + ",")]


def cleaned_name(path: Path) -> str:
    """Name of the cleaned file, of the format of the file; for a folder a CSV."""
    ending = "".join(endings(path))
    return "cleaned" + (ending if endings(path)[0] in READABLE else ".csv")
