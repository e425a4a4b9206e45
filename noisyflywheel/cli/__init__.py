"""The command `noisyflywheel`: a first look, audits of files with review, and the paper's experiments.

Each subcommand is a module with `add_parser(subcommands)`; it sets `run`, a function of the parsed arguments
that returns the exit code. Exit codes: 0 done, 2 the user can mend it (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

from noisyflywheel import __version__
from noisyflywheel.audit.files.table_file import first_line
from noisyflywheel.cli import apply, audit, demo, relearn, reproduce, review, tables

COMMANDS: tuple[ModuleType, ...] = (demo, audit, review, relearn, apply, reproduce, tables)


def build_parser() -> argparse.ArgumentParser:
    """Parser of the command line with all subcommands."""
    parser = argparse.ArgumentParser(
        prog="noisyflywheel",
        description="Learn from data whose labels are partly wrong, and find the wrong ones.",
    )
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    subcommands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subcommands)
    return parser


def _version() -> str:
    """Name and version."""
    return f"noisyflywheel {__version__}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; `sys.argv[1:]` if None.

    Returns
    -------
    exit_code : int
        0, 2 or 130.
    """
    _print_anything()
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with warnings.catch_warnings():
            if not arguments.traceback:
                warnings.showwarning = _say_warning
            return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print(f"noisyflywheel {arguments.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  nobody reads on: no second error at exit
        return 0
    except Exception as error:
        if arguments.traceback:
            raise
        print(f"noisyflywheel {arguments.command}: error: {_message(error)}", file=sys.stderr)
        return 2


def _print_anything() -> None:
    """Let a terminal or log without some letter show its number: a name in it is no reason to stop.

    Streams of the C locale are not strict, but let bytes of file names through only.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _message(error: Exception) -> str:
    """One line for people."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory"
    known = isinstance(error, ValueError | ImportError | RuntimeError | OSError)
    return first_line(error) if known else f"{type(error).__name__}: {first_line(error)}"


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    """A warning in one line on stderr."""
    text = first_line(message) if isinstance(message, Warning) else str(message)
    print(f"warning: {text}", file=sys.stderr)
