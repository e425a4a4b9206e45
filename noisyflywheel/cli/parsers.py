"""What the parsers of several subcommands share."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from typing import Any

from noisyflywheel.data.paths import user_path


def command_parser(subcommands: Any, name: str, description: str, **texts: str) -> argparse.ArgumentParser:
    """Parser of one subcommand.

    Parameters
    ----------
    subcommands : as `argparse.ArgumentParser.add_subparsers` returns it
    name : str
    description : str
        Broken into lines.
    **texts : str
        ``help`` and ``epilog``, whose line ends stay.
    """
    lines = textwrap.fill(description, shutil.get_terminal_size().columns - 2)
    form = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = subcommands.add_parser(name, description=lines, formatter_class=form, **texts)
    return parser


def folder_parser(subcommands: Any, name: str, description: str, **texts: str) -> argparse.ArgumentParser:
    """`command_parser` of a subcommand that works on the folder of an audit."""
    parser = command_parser(subcommands, name, description, **texts)
    parser.add_argument("folder", type=user_path, metavar="DIR", help="folder of `noisyflywheel audit --out`")
    return parser


def add_files(parser: argparse.ArgumentParser, decisions: str) -> None:
    """Options that name the decisions and, where it has moved, what was judged."""
    parser.add_argument("--decisions", type=user_path, metavar="FILE", help=decisions)
    parser.add_argument("--input", type=user_path, metavar="PATH", help="what was judged, if it has moved")


def check_training(arguments: argparse.Namespace) -> None:
    """Refuse values of --cycles and --seed that no fit takes, before anything is trained.

    Raises
    ------
    ValueError
    """
    if arguments.cycles is not None and arguments.cycles < 1:
        raise ValueError("--cycles must be at least 1")
    if not 0 <= arguments.seed < 2**32:
        raise ValueError("--seed must lie between 0 and 4294967295")
