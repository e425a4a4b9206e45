"""The review inside a notebook."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import Any

from noisyflywheel.audit.report.page import write_report
from noisyflywheel.data.paths import user_path
from noisyflywheel.data.pictures import is_paths


class ReviewDisplay:
    """The report as a notebook shows it; needs no widgets.

    Parameters
    ----------
    page : str
        The HTML page.
    height : int, default 800
        In pixels.
    """

    def __init__(self, page: str, height: int = 800) -> None:
        self.page = page
        self.height = height

    def _repr_html_(self) -> str:
        """A frame that holds the page."""
        frame = "width:100%;border:0"
        page = html.escape(self.page, quote=True)
        return f'<iframe title="Label review" style="{frame}" height="{self.height}" srcdoc="{page}"></iframe>'

    def save(self, path: str | Path) -> Path:
        """Write the page to a file."""
        path = user_path(path)
        path.write_text(self.page, encoding="utf-8")
        return path


def review(audit: Any, X: Any = None, *, height: int = 800, **options: Any) -> ReviewDisplay:
    """Decide on suspects inside a notebook; "Save decisions.csv" downloads what `read_issues` reads.

    Parameters
    ----------
    audit : FlywheelClassifier, CrossValAudit, TableAudit or DataFrame
        A fitted estimator, an audit, or a table of label issues.
    X : array-like of n rows, optional
        What the rows look like.
    height : int, default 800
        Of the frame in pixels.
    **options
        As in `write_report`: `texts`, `image_shape`, `title` …

    Returns
    -------
    display : ReviewDisplay
    """
    if is_paths(X):  # the page may be saved anywhere
        options = {"files": [Path(name).resolve().as_posix() for name in X]} | options
    with tempfile.TemporaryDirectory() as folder:
        page = write_report(Path(folder) / "review.html", audit, X, **options).read_text(encoding="utf-8")
    return ReviewDisplay(page, height)
