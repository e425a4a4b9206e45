"""Suspects to labelling tools and decisions back: Label Studio's tasks, Argilla's records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from noisyflywheel.audit.changes.decisions import DECISION_COLUMNS
from noisyflywheel.audit.rows.identity import label_text
from noisyflywheel.audit.rows.matching import check_is_table, check_issue_columns
from noisyflywheel.audit.rows.order import check_order
from noisyflywheel.audit.rows.truth import suspect_rows

AGENT = "noisyflywheel"


def to_label_studio(
    issues: pd.DataFrame, data: pd.DataFrame, from_name: str = "label", to_name: str = "item"
) -> list[dict[str, Any]]:
    """Suspects as tasks of Label Studio, the suggestion as a prediction.

    Parameters
    ----------
    issues : DataFrame of n rows
        Where they have no column `row`, as those of `get_label_issues`, rows are numbered from 1: they must be of all
        rows, with the index 0, 1, …. Give others a column `row` before any are left out.
    data : DataFrame of n rows
        What the annotator sees, for example a column `text` or `image`.
    from_name, to_name : str
        Names of the `<Choices>` and of the object in the labelling interface.

    Returns
    -------
    tasks : list of dict
        For `json.dump` and Label Studio's import, the most doubtful first.

    Raises
    ------
    ValueError
        If the data has another number of rows than the issues, or another order, if a column of issues is not there,
        or if rows to be numbered have another index than 0, 1, …: they may have been sorted or left out.
    """
    issues = _numbered(issues, data)
    tasks = []
    for place in suspect_rows(issues):
        line, about = issues.iloc[place], _about(issues, place)
        choice = {"choices": [about["suggested_label"]]}
        result = {"from_name": from_name, "to_name": to_name, "type": "choices", "value": choice}
        prediction = {"model_version": AGENT, "score": _cell(line["refurbished_confidence"]), "result": [result]}
        tasks.append({"data": _plain(data, place) | about, "predictions": [prediction]})
    return tasks


def from_label_studio(tasks: Iterable[Mapping[str, Any]], from_name: str = "label") -> pd.DataFrame:
    """Decisions from Label Studio's JSON export; the latest annotation of a task counts, a cancelled one is skipped.

    Parameters
    ----------
    tasks : iterable of dict
        With `data` as `to_label_studio` wrote it and `annotations`.
    from_name : str, default "label"
        Name of the `<Choices>` in the labelling interface; answers to other questions are left out.

    Returns
    -------
    decisions : DataFrame
        For `apply_corrections`.
    """
    lines = []
    for task in tasks:
        made = sorted(task.get("annotations", ()), key=lambda a: str(a.get("updated_at") or a.get("created_at") or ""))
        if made:
            last = made[-1]
            answers = [r for r in last.get("result", ()) if r.get("from_name") == from_name]
            choices = [choice for answer in answers for choice in answer.get("value", {}).get("choices", ())]
            label = None if last.get("was_cancelled") or len(choices) != 1 else choices[0]
            when = str(last.get("updated_at") or last.get("created_at") or "")
            lines.append(_decision(task["data"], label, _who(last.get("completed_by", "")), when))
    return pd.DataFrame(lines, columns=list(DECISION_COLUMNS))


def to_argilla(issues: pd.DataFrame, data: pd.DataFrame, question: str = "label") -> list[dict[str, Any]]:
    """Suspects as records of Argilla 2, the suggestion as a suggestion.

    Parameters
    ----------
    issues : DataFrame of n rows
        Where they have no column `row`, as those of `get_label_issues`, rows are numbered from 1: they must be of all
        rows, with the index 0, 1, …. Give others a column `row` before any are left out.
    data : DataFrame of n rows
        The fields of a record, as texts; a missing cell is an empty one.
    question : str, default "label"
        Name of the label question.

    Returns
    -------
    records : list of dict
        For `json.dump` and `dataset.records.from_json`, the most doubtful first.

    Raises
    ------
    ValueError
        If the data has another number of rows than the issues, or another order, if a column of issues is not there,
        or if rows to be numbered have another index than 0, 1, …: they may have been sorted or left out.
    """
    issues = _numbered(issues, data)
    records = []
    for place in suspect_rows(issues):
        about, score = _about(issues, place), _cell(issues["refurbished_confidence"].iloc[place])
        suggestion = {"value": about["suggested_label"], "score": score, "agent": AGENT}
        fields = {name: "" if value is None else str(value) for name, value in _plain(data, place).items()}
        records.append(
            {
                "id": str(about["row"]),
                "fields": fields,
                "metadata": about,
                "suggestions": {question: suggestion},
                "responses": {},
                "vectors": {},
            }
        )
    return records


def from_argilla(records: Iterable[Mapping[str, Any]], question: str = "label") -> pd.DataFrame:
    """Decisions from Argilla's JSON export (`dataset.records.to_json`).

    The label that most annotators gave counts; where two were given equally often, the row is skipped. That export
    does not say which responses were discarded: ask for the submitted ones before it is written.

    Parameters
    ----------
    records : iterable of dict
        With `metadata` as `to_argilla` wrote it and `responses`.
    question : str, default "label"

    Returns
    -------
    decisions : DataFrame
        For `apply_corrections`.
    """
    lines = []
    for record in records:
        answers = [a for a in record.get("responses", {}).get(question, ()) if a["value"] is not None]
        counts = Counter(answer["value"] for answer in answers).most_common(2)
        if counts:
            tie = len(counts) > 1 and counts[0][1] == counts[1][1]
            by = ", ".join(str(answer.get("user_id", "")) for answer in answers)
            lines.append(_decision(record["metadata"], None if tie else counts[0][0], by, ""))
    return pd.DataFrame(lines, columns=list(DECISION_COLUMNS))


def _numbered(issues: pd.DataFrame, data: pd.DataFrame) -> pd.DataFrame:
    """Issues with a column `row`, numbered as `apply_corrections` does; refused if they are not of the data's rows."""
    check_is_table("issues", issues)
    check_issue_columns(issues)
    if len(data) != len(issues):
        raise ValueError(f"data has {len(data)} rows, issues {len(issues)}")
    check_order(issues, data=data)
    if "row" in issues:
        return issues
    if not issues.index.equals(pd.RangeIndex(len(issues))):
        rises = issues.index.is_monotonic_increasing
        why = "is not 0, 1, …: rows may have been left out" if rises else "does not rise: they may have been sorted"
        raise ValueError(
            f"issues have no column 'row' and their index {why}. Number the table of all rows first, by "
            "issues.assign(row=range(1, len(issues) + 1)), then sort it or choose from it"
        )
    return issues.assign(row=range(1, len(issues) + 1))


def _about(issues: pd.DataFrame, place: int) -> dict[str, Any]:
    """What brings a decision back to its row."""
    line = issues.iloc[place]
    return {
        "row": int(line["row"]),
        "fingerprint": str(line.get("fingerprint", "")),
        "given_label": label_text(line["given_label"]),
        "suggested_label": label_text(line["refurbished_label"]),
    }


def _plain(data: pd.DataFrame, place: int) -> dict[str, Any]:
    """Cells of a row as JSON has them, each of the type of its column."""
    return {str(name): _cell(data.iat[place, number]) for number, name in enumerate(data.columns)}


def _cell(value: Any) -> str | int | float | bool | list[Any] | dict[str, Any] | None:
    """A cell as JSON has it: dates and what else JSON does not know become texts."""
    value = value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64) else value
    if isinstance(value, Mapping):
        return {str(name): _cell(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_cell(inner) for inner in value]
    if pd.isna(value):
        return None
    return value if isinstance(value, (str, int)) or (isinstance(value, float) and np.isfinite(value)) else str(value)


def _who(person: Any) -> str:
    """Name of an annotator, given as a number, an address or a dict of both."""
    return str(person.get("email") or person.get("id") or "") if isinstance(person, Mapping) else str(person)


def _decision(about: Mapping[str, Any], label: Any, by: str, when: str) -> tuple[Any, ...]:
    """One line of decisions; no label means that nobody decided."""
    kind, new = "set", label
    if label is None:
        kind, new = "skip", ""
    elif label == about["given_label"]:
        kind, new = "reject", ""
    elif label == about["suggested_label"]:
        kind, new = "accept", ""
    return about["row"], about["fingerprint"], about["given_label"], kind, new, by, when
