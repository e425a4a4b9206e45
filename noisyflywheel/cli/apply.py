"""`noisyflywheel apply`: decisions of people become a cleaned file and a log."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from noisyflywheel.audit.changes.apply import apply_folder, undo_folder
from noisyflywheel.cli.parsers import add_files, folder_parser

EXAMPLES = """examples:
  noisyflywheel apply audit                                       accepted and set labels only
  noisyflywheel apply audit --policy refurbish --min-confidence 0.95   and the surest of the undecided
  noisyflywheel apply audit --undo                                as it was before

writes into the folder of the audit:
  cleaned.csv    the file that was judged, the same bytes but for the changed labels and dropped rows
  changes.csv    each change: row, from, to, why, by whom, when"""


def add_parser(subcommands: Any) -> None:
    """Describe the subcommand."""
    parser = folder_parser(
        subcommands,
        "apply",
        help="write the cleaned file from decisions",
        description="Applies decisions.csv, as the report or `noisyflywheel review` saves it, to the file that was "
        "judged. The file itself is never changed.",
        epilog=EXAMPLES,
    )
    add_files(parser, decisions="default decisions.csv in DIR")
    parser.add_argument(
        "--policy",
        choices=("keep", "drop", "refurbish", "flag"),
        default="keep",
        help="what becomes of suspects that nobody decided (default: nothing)",
    )
    parser.add_argument(
        "--min-confidence", type=float, default=0.0, metavar="P", help="for --policy: only suggestions this sure"
    )
    parser.add_argument("--undo", action="store_true", help="take the last apply back")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Apply or take back."""
    if arguments.undo:
        if given := [option for option, is_given in _of_an_apply(arguments).items() if is_given]:
            raise ValueError(f"--undo takes the last apply back as it was: it does not go with {', '.join(given)}")
        print(f"{undo_folder(arguments.folder)} is as it was before")
        return 0
    if not 0 <= arguments.min_confidence <= 1:
        raise ValueError("--min-confidence must lie between 0 and 1")
    applied = apply_folder(
        arguments.folder, arguments.policy, arguments.min_confidence, arguments.decisions, arguments.input
    )
    counts = applied.changes["action"].value_counts()
    changed, dropped = counts.get("set", 0), counts.get("drop", 0)
    print(f"{number_of(changed, 'label')} changed, {number_of(dropped, 'row')} dropped.")
    notes = (overruled_note(applied.overruled), new_classes_note(applied.new_classes))
    print(*filter(None, notes), f"{applied.cleaned}; each change is in {applied.log}", sep="\n")
    return 0


def _of_an_apply(arguments: argparse.Namespace) -> dict[str, bool]:
    """Options that `--undo` does not look at, and whether they are given."""
    return {
        "--policy": arguments.policy != "keep",
        "--min-confidence": arguments.min_confidence != 0,
        "--decisions": arguments.decisions is not None,
        "--input": arguments.input is not None,
    }


def overruled_note(rows: Sequence[int]) -> str:
    """A line about rows with several decisions that differ, or nothing."""
    if not rows:
        return ""
    names = ", ".join(map(str, rows[:5])) + ", …" * (len(rows) > 5)
    return f"Decided more than once, and not alike (the last line counts): row{'s' * (len(rows) > 1)} {names}."


def new_classes_note(counts: Mapping[str, int]) -> str:
    """A line about labels that the file did not have, or nothing."""
    if not counts:
        return ""
    several = len(counts) > 1
    names = ", ".join(map(repr, list(counts)[:5])) + ", …" * (len(counts) > 5)
    labels = f"{number_of(sum(counts.values()), 'label')} of {'classes' if several else 'a class'}"
    return (
        f"{labels} that the file did not have: {names}. If {'one' if several else 'it'} is mistyped, correct the "
        "decisions and apply them again."
    )


def number_of(count: int, what: str) -> str:
    """A count with its noun: "1 row", "2 rows"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
