"""The suspects of a report, one by one, as the page shows them and as its review reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from noisyflywheel.audit.changes.decisions import check_decisions
from noisyflywheel.audit.report.content import Content, fingerprint
from noisyflywheel.audit.report.evidence import Evidence
from noisyflywheel.audit.report.neighbours import suggestions
from noisyflywheel.audit.rows.identity import bare_fingerprint, label_text
from noisyflywheel.audit.rows.truth import row_numbers

ADDRESS = re.compile(r"(https?|file)://")
"""How a file begins that is an address."""

DRIVE = re.compile(r"[A-Za-z]:/")
"""How a file begins that lies on a drive of Windows."""


def make_cards(
    issues: pd.DataFrame,
    content: Mapping[int, Content],
    files: Sequence[str] | None = None,
    evidence: Mapping[int, Evidence] | None = None,
) -> list[dict[str, Any]]:
    """What the page says of each row of `content`, in its order.

    `suggested` is the refurbished label where it differs from the given one, else the predicted one where that
    differs (then `perhaps`), else None; `confidence` in [0, 1] is that of the suggestion, None where it is not known.
    """
    columns = {name: issues[name].to_numpy() for name in issues.columns}
    columns["row"] = row_numbers(issues)
    columns["suggested"], columns["confidence"] = suggestions(issues)
    known = evidence or {}
    return [
        _card(columns, place, content[place], issues.index[place], files) | {"evidence": known.get(place, Evidence())}
        for place in content
    ]


def _card(
    columns: Mapping[str, Any], place: int, content: Content, name: Any, files: Sequence[str] | None
) -> dict[str, Any]:
    """One row."""
    given, suggested, sure = (columns[c][place] for c in ("given_label", "suggested", "confidence"))
    changed = bool(columns["refurbished_label"][place] != given)
    perhaps = suggested is not None and not changed
    return {
        "row": int(columns["row"][place]),
        "name": str(name),
        "fingerprint": str(columns["fingerprint"][place]) if "fingerprint" in columns else "",
        "given": label_text(given),
        "suggested": None if suggested is None else label_text(suggested),
        "changed": changed,
        "perhaps": label_text(suggested) if perhaps else "",
        "confidence": None if pd.isna(sure) else float(sure),
        "quality": float(columns["label_quality"][place]),
        "content": content,
        **named_file(files, place),
    }


def named_file(files: Sequence[str] | None, place: int) -> dict[str, str | None]:
    """Name of the file of a row, and where it is as seen from the page."""
    if files is None:
        return {"file": None, "href": None}
    path = files[place]
    named = ":" not in path.split("/", 1)[0] or ADDRESS.match(path)
    start = "file:///" if DRIVE.match(path) else "" if named else "./"  # browsers take C: for a scheme
    href = start + quote(path, safe="/.:", errors="surrogateescape")
    return {"file": path.rsplit("/", 1)[-1], "href": href}


def decided_rows(issues: pd.DataFrame, decisions: pd.DataFrame | None) -> list[int]:
    """Positions of the rows that decisions are about."""
    if decisions is None:
        return []
    decided = np.isin(row_numbers(issues), check_decisions(decisions)["row"])
    return [int(place) for place in np.flatnonzero(decided)]


def made_decisions(decisions: pd.DataFrame | None) -> dict[str, dict[str, str]]:
    """Decisions by row, as the script of the page keeps them."""
    if decisions is None:
        return {}
    table = check_decisions(decisions).fillna("")
    names = {"decision": "decision", "new_label": "label", "by": "by", "when": "when"}
    return {
        str(int(line["row"])): {to: label_text(line[name]) for name, to in names.items()}
        for line in table.to_dict("records")
    }


def review_data(
    issues: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    classes: Any = None,
    decisions: pd.DataFrame | None = None,
    beside: Mapping[int, Content] | None = None,
    files: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Rows, classes, decisions so far, rows to show beside others and a key for the script of the page."""
    if classes is None:
        classes = sorted(pd.unique(issues[["given_label", "refurbished_label"]].astype(object).to_numpy().ravel()))
    names = [label_text(name) for name in classes]
    numbers = row_numbers(issues)
    has_marks = "fingerprint" in issues.columns
    marks = issues["fingerprint"].map(bare_fingerprint) if has_marks else issues.index.to_flat_index().astype(str)
    return {
        "key": fingerprint(
            np.asarray(marks, dtype=object), issues["given_label"].map(label_text).to_numpy(dtype=object)
        ),
        "classes": names,
        "decisions": made_decisions(decisions),
        "rows": [_line(card) for card in cards],
        "beside": {
            int(numbers[place]): _filled(_shown(content) | named_file(files, place))
            for place, content in (beside or {}).items()
        },
    }


def _line(card: Mapping[str, Any]) -> dict[str, Any]:
    """One row for the script; what is empty is left out."""
    content: Content = card["content"]
    line = {
        "row": card["row"],
        "fingerprint": card["fingerprint"],
        "given": card["given"],
        "other": card["suggested"],
        "perhaps": bool(card["perhaps"]),
        "confidence": None if card["confidence"] is None else round(card["confidence"], 4),
        "quality": round(card["quality"], 4),
    }
    more = {
        **_shown(content),
        "file": card["file"],
        "href": card["href"],
        "name": card["name"] if card["name"] not in (str(card["row"]), str(card["row"] - 1)) else "",
        "why": card["evidence"].why,
        "near": card["evidence"].near,
    }
    return line | _filled(more)


def _shown(content: Content) -> dict[str, Any]:
    """Content for the script."""
    return {"image": content.image, "text": content.text, "values": content.values}


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that hold something."""
    return {name: value for name, value in fields.items() if value}
