"""Options of `noisyflywheel audit`, and what is refused before anything is read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from noisyflywheel.audit.files import READABLE, endings
from noisyflywheel.audit.workspace import RECORD
from noisyflywheel.cli.inputs import Reading

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
  audit.json       which file was judged, for `noisyflywheel review` and `noisyflywheel apply`

exit codes: 0 done, 2 something in the input or the options is wrong, 130 interrupted"""


def add_options(subcommands: Any) -> argparse.ArgumentParser:
    """Parser of the subcommand."""
    parser: argparse.ArgumentParser = subcommands.add_parser(
        "audit",
        help="find the wrong labels of a table or image folder",
        description="Finds the labels that are probably wrong in a table (.csv, .tsv, .parquet, .xlsx, .json, .jsonl, "
        "also .gz or .zst), or in a folder of images with one subfolder per class, and says what they should be.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", type=Path, help="a table, or a folder of images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results; made if needed")
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
        "--features", metavar="A,B,…", help="learn from these columns only (default: all that can be used)"
    )
    data.add_argument(
        "--missing", metavar="A,B,…", help="text that stands for a missing cell (default: only empty cells are missing)"
    )
    data.add_argument("--delimiter", metavar="C", help="what parts the cells (default: found in the file)")
    data.add_argument("--encoding", metavar="NAME", help="of a text file (default: found in the file)")
    data.add_argument("--image-size", type=int, default=32, metavar="PIXELS", help="side of the images (default 32)")


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    """Options of the fit and of what is done with the suspects."""
    learn = parser.add_argument_group("how to judge")
    learn.add_argument("--cv", type=int, metavar="K", help="judge each row by a model that never saw it (K fits more)")
    learn.add_argument(
        "--groups", metavar="COLUMN", help="judge each row by a model that saw none of its group (--cv 5 if not given)"
    )
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
    written = ("issues.csv", "manifest.csv", "decisions.csv", RECORD, cleaned_name(arguments.input))
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


def reading_of(arguments: argparse.Namespace) -> Reading:
    """Options of reading."""
    return Reading(
        label=arguments.label,
        text=arguments.text,
        groups=arguments.groups,
        embedder=arguments.embedder,
        features=_list(arguments.features) if arguments.features else None,
        missing=tuple(_list(arguments.missing)) if arguments.missing else (),
        delimiter={"tab": "\t", "\\t": "\t"}.get(arguments.delimiter, arguments.delimiter),
        encoding=arguments.encoding,
        image_size=arguments.image_size,
    )


def _list(text: str) -> list[str]:
    """Names between commas."""
    return [name.strip() for name in text.split(",")]


def cleaned_name(path: Path) -> str:
    """Name of the cleaned file, of the format of the file; for a folder a CSV."""
    ending = "".join(endings(path))
    return "cleaned" + (ending if endings(path)[0] in READABLE else ".csv")
