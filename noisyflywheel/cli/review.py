"""`noisyflywheel review`: the report in the browser, its decisions saved into the folder of the audit."""

from __future__ import annotations

import argparse
import getpass
import webbrowser
from typing import Any

from noisyflywheel.audit.report.review_server import ReviewServer
from noisyflywheel.cli.parsers import folder_parser


def add_parser(subcommands: Any) -> None:
    """Describe the subcommand."""
    parser = folder_parser(
        subcommands,
        "review",
        help="decide on the suspects in the browser",
        description="Serves the report of an audit to this machine only, under an address with a secret in it, and "
        "saves each decision in DIR/decisions.csv. Stop it with Ctrl-C; `noisyflywheel apply DIR` comes next.",
    )
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--by", metavar="NAME", help="who decides (default: the name you are logged in with)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if not 0 <= arguments.port < 2**16:
        raise ValueError("--port must lie between 0 and 65535")
    with ReviewServer(arguments.folder, arguments.port, who() if arguments.by is None else arguments.by) as server:
        print(server.address, flush=True)
        if not arguments.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print(f"decisions are in {server.decisions}")
    return 0


def who() -> str:
    """Name of the user of this machine, or nothing."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
