"""The report on this machine only, saving decisions into the folder of its audit."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from noisyflywheel.audit.changes.decisions import planned_changes
from noisyflywheel.audit.changes.workspace import load_origin, open_issues
from noisyflywheel.audit.files.table_file import first_line
from noisyflywheel.audit.rows.matching import read_issues
from noisyflywheel.persistence.whole import replace_file

HOST = "127.0.0.1"
MAX_BYTES = 64 * 2**20
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves ``/TOKEN/`` (the page) and ``/TOKEN/decisions.csv`` (read and write) to this machine, nothing else.

    Decisions have an ETag; a page that names another one in If-Match has not seen the last decisions and saves nothing.

    Parameters
    ----------
    folder : Path
        Of `noisyflywheel audit --out`.
    port : int, default 0
        0 takes a free one.
    by : str, default ""
        Name of the person who decides, written beside each decision.
    token : str, optional
        Part of the address; a random one if None.

    Raises
    ------
    ValueError
        If the folder is no audit's, has no report, or its decisions cannot be read or are about other rows: the page
        would not show them, and save over them.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0, by: str = "", token: str | None = None) -> None:
        self.issues = open_issues(folder, load_origin(folder))
        report = folder / "report.html"
        if not report.is_file():
            raise ValueError(f"{report} is not there")
        self.page = served_page(report.read_text(encoding="utf-8"), by).encode()
        self.decisions = folder / "decisions.csv"
        self._check_saved()
        self.saving = threading.Lock()
        self.token = secrets.token_urlsafe(24) if token is None else token
        super().__init__((HOST, port), ReviewHandler)

    @property
    def address(self) -> str:
        """Where the page is, token included."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def saved(self) -> bytes:
        """The decisions so far."""
        return self.decisions.read_bytes() if self.decisions.is_file() else b""

    def check(self, data: bytes) -> None:
        """Refuse decisions that `noisyflywheel apply` would refuse."""
        planned_changes(self.issues, decisions=read_issues(io.BytesIO(data)))

    def _check_saved(self) -> None:
        """Refuse a file of decisions that no page can take over."""
        data = self.saved()
        try:
            if data:
                self.check(data)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{self.decisions}: {first_line(error)}; mend it or move it away") from error

    def save(self, data: bytes, seen: str | None) -> bool:
        """Save decisions of a page that has `seen` this ETag; whether it was the last one."""
        with self.saving:
            if seen is not None and seen != etag(self.saved()):
                return False
            replace_file(self.decisions, data)
            return True


def etag(data: bytes) -> str:
    """Name of a content."""
    return f'"{hashlib.sha256(data).hexdigest()}"'


def served_page(page: str, by: str) -> str:
    """The report with the word that it is served: it may speak to its own address, and to no other."""
    config = json.dumps({"by": by}).replace("<", "\\u003c")
    slot = '<script type="application/json" id="server">null</script>'
    if "connect-src 'none'" not in page.partition("<body>")[0] or (slot not in page and 'id="data"' in page):
        raise ValueError("report.html is not of this version: audit again")
    return page.replace("connect-src 'none'", "connect-src 'self'", 1).replace(slot, slot.replace("null", config))


class ReviewHandler(BaseHTTPRequestHandler):
    """Answers of `ReviewServer`."""

    server: ReviewServer
    server_version, sys_version = "noisyflywheel", ""

    def do_GET(self) -> None:
        """The page, or the decisions so far."""
        place = self._place(changes=False)
        if place == "":
            self._answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif place == "decisions.csv":
            data = self.server.saved()
            self._answer(HTTPStatus.OK, data, "text/csv; charset=utf-8", etag(data))

    def do_PUT(self) -> None:
        """Save decisions, after a look whether they are about these rows."""
        place = self._place(changes=True)
        if place != "decisions.csv":
            if place is not None:
                self._answer(HTTPStatus.NOT_FOUND)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too long")
            return
        data = self.rfile.read(int(length))
        try:
            self.server.check(data)
            fresh = self.server.save(data, self.headers.get("If-Match"))
        except (ValueError, KeyError, OSError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error).splitlines()[0].encode())
            return
        if fresh:
            self._answer(HTTPStatus.NO_CONTENT, tag=etag(data))
        else:
            self._answer(HTTPStatus.PRECONDITION_FAILED, b"decisions were saved elsewhere since: reload this page")

    def _place(self, changes: bool) -> str | None:
        """What is asked for below the token; None once it is refused."""
        own = f"{HOST}:{self.server.server_port}"
        origin = self.headers.get("Origin")
        if self.headers.get("Host") != own or (origin is not None and origin != f"http://{own}"):
            self._answer(HTTPStatus.FORBIDDEN)
            return None
        if changes and origin is None:
            self._answer(HTTPStatus.FORBIDDEN)
            return None
        _, token, *rest = [*self.path.split("/"), ""][:4]
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        place = rest[0] if rest else ""
        if not known or self.path not in (f"/{token}/", f"/{token}/decisions.csv"):
            self._answer(HTTPStatus.NOT_FOUND)
            return None
        return place

    def _answer(
        self, status: HTTPStatus, data: bytes = b"", kind: str = "text/plain; charset=utf-8", tag: str | None = None
    ) -> None:
        """One whole answer."""
        self.send_response(status)
        more = {} if tag is None else {"ETag": tag}
        for name, value in {**HEADERS, **more, "Content-Type": kind, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: an address holds the token."""
