"""`noisyflywheel tables`: the paper's tables from the results of `noisyflywheel reproduce`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from noisyflywheel.cli.parsers import command_parser
from noisyflywheel.data.paths import user_path
from noisyflywheel.reproduce.tables import read_results, write_tables


def add_parser(subcommands: Any) -> None:
    """Describe the subcommand."""
    parser = command_parser(
        subcommands,
        "tables",
        help="make the paper's tables from results",
        description="Reads the JSON files that `noisyflywheel reproduce` wrote and prints Tables 1-7 as "
        "Markdown beside the paper's figures: the last cycle as the headline, mean and spread over seeds, "
        "the best beside it.",
    )
    parser.add_argument("folder", type=user_path, metavar="DIR", help="folder with results, also in folders below")
    parser.add_argument("--out", type=user_path, metavar="FILE", help="write there instead of printing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, print or write."""
    records, left_out = read_results(arguments.folder)
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    text = write_tables(records)
    if arguments.out is None:
        print(text, end="")
    else:
        arguments.out.write_text(text, encoding="utf-8")
        print(arguments.out)
    return 0
