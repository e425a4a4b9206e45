"""Decisions of people on suspect labels, and the changes that follow from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyflywheel.audit.files.table_file import unguard_cell
from noisyflywheel.audit.rows.identity import bare_fingerprint, class_text, label_text
from noisyflywheel.audit.rows.matching import check_is_table
from noisyflywheel.audit.rows.truth import suspect_mask

DECISIONS = ("accept", "reject", "set", "skip", "drop")
DECISION_COLUMNS = ("row", "fingerprint", "given_label", "decision", "new_label", "by", "when")
CHANGE_COLUMNS = ("row", "fingerprint", "action", "from", "to", "why", "by", "when")
POLICIES = ("keep", "drop", "refurbish", "flag")
Issue = Mapping[Any, Any]
"""One line of a table of issues, by column."""


def check_decisions(decisions: pd.DataFrame) -> pd.DataFrame:
    """Decisions with every column, one line per row; the later line of a row counts.

    Raises
    ------
    TypeError
        If they are no DataFrame.
    ValueError
        For a missing column, an unknown decision, a row that is no whole number, or "set" without a label.
    """
    table = _decision_lines(decisions).drop_duplicates("row", keep="last")
    empty = table["new_label"].isna() | (table["new_label"].astype(str).str.strip() == "")
    if (empty & (table["decision"] == "set")).any():
        raise ValueError(f"row {table.loc[empty & (table['decision'] == 'set'), 'row'].iloc[0]}: 'set' needs new_label")
    return table.reset_index(drop=True)


def overruled_rows(decisions: pd.DataFrame) -> list[int]:
    """Numbers of the rows that an earlier line decides otherwise than a later one, in the order of the lines."""
    table = _decision_lines(decisions)
    texts = table["new_label"].astype(object).fillna("").map(label_text)
    different = table.assign(new_label=texts).drop_duplicates(["row", "decision", "new_label"])["row"]
    return [int(row) for row in different[different.duplicated()].unique()]


def _decision_lines(decisions: pd.DataFrame) -> pd.DataFrame:
    """Every line that decides something, with every column; checked but for the labels of "set"."""
    check_is_table("decisions", decisions)
    for name in ("row", "decision"):
        if name not in decisions.columns:
            raise ValueError(f"decisions need the column {name!r}")
    table = decisions.copy()
    for name in DECISION_COLUMNS:
        if name not in table.columns:
            table[name] = ""
    table["decision"] = table["decision"].astype(object).fillna("").astype(str).str.strip().str.lower()
    unknown = table.loc[~table["decision"].isin((*DECISIONS, "")), "decision"]
    if len(unknown):
        raise ValueError(f"unknown decision {unknown.iloc[0]!r}; expected one of {', '.join(DECISIONS)}")
    table = table[table["decision"] != ""]
    return table.assign(row=_row_numbers(table["row"]))


def _row_numbers(cells: pd.Series) -> pd.Series:
    """Row numbers as int64, however they are written."""
    rows = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    wrong = ~(rows % 1 == 0)
    if wrong.any():
        raise ValueError(f"the 'row' of a decision must be a whole number, not {str(cells[wrong].iloc[0])!r}")
    return rows.astype(np.int64)


def rows_to_change(issues: pd.DataFrame, min_confidence: float = 0.0) -> NDArray[np.bool_]:
    """Suspects whose best other label is at least `min_confidence` likely, as a mask of shape (n,).

    Raises
    ------
    ValueError
        If no line says how likely it is, as those of cleanlab do not.
    """
    if min_confidence > 0 and len(issues) and issues["refurbished_confidence"].isna().all():
        raise ValueError("these issues have no refurbished_confidence, as those of cleanlab: min_confidence must be 0")
    other = issues["refurbished_label"].to_numpy() != issues["given_label"].to_numpy()
    sure = issues["refurbished_confidence"].to_numpy() >= min_confidence
    suspect = suspect_mask(issues)
    return suspect & (sure & other if min_confidence > 0 else np.ones_like(other))


def undecided_suspects(
    issues: pd.DataFrame, min_confidence: float = 0.0, decisions: pd.DataFrame | None = None
) -> NDArray[np.bool_]:
    """`rows_to_change` without the rows that decisions are about, skipped ones too, as a mask of shape (n,)."""
    rows = rows_to_change(issues, min_confidence)
    rows[[place for place, _, _ in _decided_lines(issues, decisions)]] = False
    return rows


def planned_changes(
    issues: pd.DataFrame, policy: str = "keep", min_confidence: float = 0.0, decisions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Every change that follows from decisions, and from a policy for the suspects that nobody decided.

    Parameters
    ----------
    issues : DataFrame of n rows
        With a column `row`.
    policy : {"keep", "drop", "refurbish", "flag"}, default "keep"
        For undecided suspects; "keep" and "flag" change no row.
    min_confidence : float in [0, 1], default 0
    decisions : DataFrame, optional
        `row`, `decision` ("accept": `new_label`, or the suggested label where that is empty, "reject" and "skip": no
        change, "set": `new_label`, "drop": remove the row), and perhaps `fingerprint`, `given_label`, `by` and `when`.

    Returns
    -------
    changes : DataFrame
        `row`, `fingerprint`, `action` ("set" or "drop"), `from`, `to`, `why`, `by`, `when`; sorted by row.

    Raises
    ------
    ValueError
        For decisions about rows that were not judged, or whose label or content is another one by now.
    """
    changes = [_decided(issue, line) for _, issue, line in _decided_lines(issues, decisions)]
    if policy in ("drop", "refurbish"):
        open_rows = undecided_suspects(issues, min_confidence, decisions)
        changes += [_automatic(issue, policy) for issue in issues[open_rows].to_dict("records")]
    table = pd.DataFrame([c for c in changes if c], columns=list(CHANGE_COLUMNS), dtype=object)
    return table.sort_values("row", key=lambda rows: rows.astype(int), ignore_index=True)


def known_labels(issues: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """What decisions tell about the labels; skipped rows are undecided.

    Parameters
    ----------
    issues : DataFrame of n rows
        With a column `row`.
    decisions : DataFrame
        As in `planned_changes`.

    Returns
    -------
    known : DataFrame of one line per decided row
        `place`, its position in issues; `label`, the right one ("accept": the accepted, "reject": the given, "set":
        the new one); `drop`, whether the row is to go.

    Raises
    ------
    ValueError
        As `planned_changes`.
    """
    lines = [
        (place, _right_label(issue, line), line.decision == "drop")
        for place, issue, line in _decided_lines(issues, decisions)
        if line.decision != "skip"
    ]
    return pd.DataFrame(lines, columns=["place", "label", "drop"]).astype({"place": np.intp, "drop": bool})


def _decided_lines(issues: pd.DataFrame, decisions: pd.DataFrame | None) -> list[tuple[int, Issue, Any]]:
    """Each decision, checked, behind the line of issues that it is about and the place of that."""
    if decisions is None:
        return []
    known = {int(row): place for place, row in enumerate(issues["row"])}
    table, classes = check_decisions(decisions), set(map(label_text, issues["given_label"]))
    meant = [_as_meant(label, classes) for label in table["new_label"]]
    table["new_label"] = pd.Series(meant, table.index, dtype=object)
    lines: list[Any] = list(table.itertuples())
    unknown = next((line.row for line in lines if line.row not in known), None)
    if unknown is not None:
        raise ValueError(f"a decision speaks of row {unknown}, which was not judged")
    places = [known[line.row] for line in lines]
    judged = issues.iloc[places].to_dict("records")
    for line, issue in zip(lines, judged, strict=True):
        _check_same_row(line, issue)
    return list(zip(places, judged, lines, strict=True))


def _check_same_row(line: Any, judged: Issue) -> None:
    """Refuse a decision that was made on another row."""
    row = int(line.row)
    said, known = bare_fingerprint(line.fingerprint), bare_fingerprint(judged.get("fingerprint"))
    if _given(line.fingerprint) and "fingerprint" in judged and said != known:
        raise ValueError(f"row {row} is not the row that was decided on: its content is another one")
    if _given(line.given_label) and not same_label(line.given_label, judged["given_label"]):
        raise ValueError(f"row {row} was decided on with the label {line.given_label!r}, now {judged['given_label']!r}")


def _as_meant(label: Any, classes: Collection[str]) -> Any:
    """A label as people meant it: without the apostrophe of `guard_cell`, blanks around a known class and its ``.0``.

    `read_issues` takes the apostrophe away, other readers leave it.
    """
    if label_text(label) in classes:
        return label
    plain = unguard_cell(label)
    if not isinstance(plain, str):
        return plain
    meant = class_text(plain.strip(), classes)
    return meant if meant in classes else plain


def _given(value: Any) -> bool:
    """Whether an optional cell is filled."""
    return not pd.isna(value) and value != ""


def same_label(a: Any, b: Any) -> bool:
    """Whether two labels are the same text, also where one was guarded for a spreadsheet."""
    x, y = label_text(a), label_text(b)
    return x == y or unguard_cell(x) == y or x == unguard_cell(y)


def _right_label(issue: Issue, line: Any) -> Any:
    """Label of a row after a decision; a suggestion is accepted as it is now where it was not written down."""
    if line.decision not in ("accept", "set"):
        return issue["given_label"]
    suggested = issue["refurbished_label"]
    if line.decision == "accept" and (not _given(line.new_label) or same_label(line.new_label, suggested)):
        return suggested
    return line.new_label


def _decided(issue: Issue, line: Any) -> dict[str, Any] | None:
    """Change that follows from a decision, or None."""
    by, when = (str(value) if _given(value) else "" for value in (line.by, line.when))
    if line.decision == "drop":
        return _change(issue, "drop", "", "decision: drop", by, when)
    to = _right_label(issue, line)
    if same_label(to, issue["given_label"]):
        return None
    return _change(issue, "set", to, f"decision: {line.decision}", by, when)


def _automatic(issue: Issue, policy: str) -> dict[str, Any] | None:
    """Change that follows from the policy, or None."""
    when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    why = f"policy: {policy}, confidence {issue['refurbished_confidence']:.3f}"
    if policy == "drop":
        return _change(issue, "drop", "", why, "", when)
    if same_label(issue["refurbished_label"], issue["given_label"]):
        return None
    return _change(issue, "set", issue["refurbished_label"], why, "", when)


def _change(issue: Issue, action: str, to: Any, why: str, by: str, when: str) -> dict[str, Any]:
    """One line of the log."""
    values = (int(issue["row"]), issue.get("fingerprint", ""), action, issue["given_label"], to, why, by, when)
    return dict(zip(CHANGE_COLUMNS, values, strict=True))
