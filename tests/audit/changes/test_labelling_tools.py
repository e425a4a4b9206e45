import json

import numpy as np
import pandas as pd
import pytest

from noisyflywheel.audit import (
    apply_corrections,
    audit_probabilities,
    from_argilla,
    from_label_studio,
    to_argilla,
    to_label_studio,
)


def answered(task, choice, **more):
    result = [{"id": "a", "from_name": "label", "to_name": "item", "type": "choices", "value": {"choices": [choice]}}]
    return task | {"id": 5, "annotations": [{"id": 1, "result": result, "was_cancelled": False, **more}]}


def test_label_studio_and_back(table, issues):
    tasks = json.loads(json.dumps(to_label_studio(issues, table[["text", "n"]])))
    assert [task["data"]["row"] for task in tasks] == [3, 4, 1]
    assert tasks[0]["data"]["text"] == "r"
    assert tasks[0]["predictions"] == [
        {
            "model_version": "noisyflywheel",
            "score": 0.7,
            "result": [{"from_name": "label", "to_name": "item", "type": "choices", "value": {"choices": ["01"]}}],
        }
    ]
    done = [
        answered(tasks[0], "01", completed_by={"id": 3, "email": "ada@example.org"}, updated_at="2024-05-01T10:00:00Z"),
        answered(tasks[1], "01", completed_by=10),
        answered(tasks[2], "x", completed_by=10),
    ]
    decisions = from_label_studio(done)
    assert decisions[["row", "decision", "new_label", "by"]].values.tolist() == [
        [3, "accept", "", "ada@example.org"],
        [4, "reject", "", "10"],
        [1, "set", "x", "10"],
    ]
    clean = apply_corrections(table, issues, label="kind", decisions=decisions)
    assert list(clean.kind) == ["x", "NA", "01", "01"]
    assert from_label_studio([answered(tasks[0], "x", was_cancelled=True)]).decision.tolist() == ["skip"]
    assert from_label_studio(tasks).empty


def test_the_latest_annotation_counts(table, issues):
    task = to_label_studio(issues, table[["text"]])[0]
    late, early = (answered(task, c, created_at=t)["annotations"][0] for c, t in (("x", "2024-02"), ("01", "2024-01")))
    assert from_label_studio([task | {"annotations": [late, early]}]).decision.tolist() == ["reject"]


def test_argilla_and_back(table, issues):
    records = json.loads(json.dumps(to_argilla(issues, table[["text"]])))
    assert records[0] == {
        "id": "3",
        "fields": {"text": "r"},
        "metadata": {
            "row": 3,
            "fingerprint": issues.fingerprint[2],
            "given_label": "x",
            "suggested_label": "01",
        },
        "suggestions": {"label": {"value": "01", "score": 0.7, "agent": "noisyflywheel"}},
        "responses": {},
        "vectors": {},
    }

    def say(record, *labels):
        return record | {"responses": {"label": [{"value": v, "user_id": f"u{i}"} for i, v in enumerate(labels)]}}

    decisions = from_argilla([say(records[0], "01", "x", "01"), say(records[1], "01", "x"), say(records[2], "x")])
    assert decisions.decision.tolist() == ["accept", "skip", "set"]
    assert decisions.by[0] == "u0, u1, u2"
    clean = apply_corrections(table, issues, label="kind", decisions=decisions)
    assert list(clean.kind) == ["x", "NA", "01", "01"]
    assert from_argilla(records).empty


def test_what_json_does_not_know(table, issues):
    frame = table[["text"]].assign(
        day=pd.to_datetime(["2024-05-01 10:30", None, None, "2024-05-04 00:00"]),
        n=[np.int8(1), 2, np.inf, 4],
        tags=[["a", 1.5]] * 4,
    )
    unsure = issues.assign(refurbished_confidence=[0.9, 0.8, np.nan, 0.6])
    tasks = json.loads(json.dumps(to_label_studio(unsure, frame), allow_nan=False))
    assert [task["predictions"][0]["score"] for task in tasks] == [None, 0.6, 0.9]
    assert [task["data"]["day"] for task in tasks] == [None, "2024-05-04 00:00:00", "2024-05-01 10:30:00"]
    assert [task["data"]["n"] for task in tasks] == ["inf", 4, 1]
    assert tasks[0]["data"]["tags"] == ["a", 1.5]
    (first, *_) = json.loads(json.dumps(to_argilla(unsure, frame), allow_nan=False))
    assert first["suggestions"]["label"]["score"] is None
    assert first["fields"] == {"text": "r", "day": "", "n": "inf", "tags": "['a', 1.5]"}


def test_answers_to_other_questions_and_empty_ones_do_not_count(table, issues):
    task = to_label_studio(issues, table[["text"]])[0]
    done = answered(task, "01")
    other = {"from_name": "sure", "to_name": "item", "type": "choices", "value": {"choices": ["yes"]}}
    done["annotations"][0]["result"].append(other)
    assert from_label_studio([done]).decision.tolist() == ["accept"]
    assert from_label_studio([done], from_name="sure").new_label.tolist() == ["yes"]
    record = to_argilla(issues, table[["text"]])[0]
    answers = [{"value": None, "user_id": "a"}, {"value": "x", "user_id": "b"}]
    assert from_argilla([record | {"responses": {"label": answers}}]).by.tolist() == ["b"]
    assert from_argilla([record | {"responses": {"label": answers[:1]}}]).empty


def test_rows_that_are_not_those_of_the_issues_are_refused(table, issues):
    worst = issues.sort_values("label_quality").reset_index(drop=True)
    for make in (to_label_studio, to_argilla):
        with pytest.raises(ValueError, match="lines of issues are not in the order of their rows"):
            make(worst, table)
        with pytest.raises(ValueError, match="data has 4 rows, issues 3"):
            make(issues[1:], table)
        assert make(worst.sort_values("row"), table) == make(issues, table)
        doubtful = issues.sort_values("label_quality")
        assert make(doubtful, table.loc[doubtful.index]) == make(issues, table)


@pytest.mark.parametrize("to_tool", [to_label_studio, to_argilla])
def test_issues_of_an_estimator_are_numbered(table, issues, to_tool):
    alike = issues.drop(columns=["row", "fingerprint"])

    def rows_of(items):
        return [item["data" if to_tool is to_label_studio else "metadata"]["row"] for item in items]

    assert rows_of(to_tool(alike, table)) == [3, 4, 1]
    numbered = alike.assign(row=range(1, 5)).set_axis([2, 5, 6, 9])
    assert rows_of(to_tool(numbered, table)) == [3, 4, 1]
    assert rows_of(to_tool(numbered[2:], table[2:])) == [3, 4]
    with pytest.raises(ValueError, match="no column 'row' and their index does not rise"):
        to_tool(alike.sort_values("label_quality"), table.loc[alike.sort_values("label_quality").index])
    with pytest.raises(ValueError, match="no column 'refurbished_confidence'"):
        to_tool(alike.drop(columns="refurbished_confidence"), table)


@pytest.mark.parametrize("to_tool", [to_label_studio, to_argilla])
@pytest.mark.parametrize("index", [range(4), range(1, 5), [2, 5, 6, 9], list("abcd")])
def test_issues_without_row_numbers_are_not_numbered_after_some_are_left_out(table, issues, to_tool, index):
    """Of a whole table with another index than 0, 1, … nothing tells it from one in which rows were left out."""
    alike, data = issues.drop(columns=["row", "fingerprint"]).set_axis(index), table.set_axis(index)
    suspects = alike[alike["is_label_issue"]]
    pairs = [(suspects, data.loc[suspects.index])] + ([] if index == range(4) else [(alike, data)])
    for some, rows in pairs:
        with pytest.raises(ValueError, match=r"no column 'row' and their index is not 0, 1, .*assign\(row=range"):
            to_tool(some, rows)
    alike.insert(0, "row", range(1, len(alike) + 1))
    made = to_tool(alike[alike["is_label_issue"]], data.loc[suspects.index])
    assert made == to_tool(alike, data)


@pytest.mark.parametrize("to_tool", [to_label_studio, to_argilla])
def test_data_whose_numbered_rows_are_in_another_order_is_refused(table, issues, to_tool):
    for found in (issues, issues.drop(columns=["row", "fingerprint"])):
        with pytest.raises(ValueError, match=r"data and issues have the same index labels in another order"):
            to_tool(found, table.sort_values("n", ascending=False))
        assert to_tool(found, table.set_axis([9, 4, 7, 1])) == to_tool(found, table)  # of a split: it says nothing
        assert to_tool(found, table[::-1].set_axis(range(4))) != to_tool(found, table)
    named, data = issues.set_axis(list("pqrs")), table.set_axis(list("pqrs"))
    assert to_tool(named, data) == to_tool(issues, table)
    with pytest.raises(ValueError, match=r"pass issues.loc\[data.index\] or data.loc\[issues.index\]"):
        to_tool(named, data[::-1])


def test_decisions_on_issues_of_an_estimator_come_back(table, issues):
    alike = issues.drop(columns=["row", "fingerprint"])
    first = to_label_studio(alike, table[["text"]])[0]
    decisions = from_label_studio([answered(first, "01")])
    assert list(apply_corrections(table, alike, label="kind", decisions=decisions).kind) == ["01", "NA", "01", "01"]


def test_an_audit_in_place_of_its_table_is_refused(table):
    audit = audit_probabilities(np.eye(2)[[0, 1, 0, 1]], [0, 1, 1, 1])
    for make in (to_label_studio, to_argilla):
        with pytest.raises(TypeError, match="issues must be a pandas DataFrame, got CrossValAudit: pass what its get_"):
            make(audit, table)


def test_numbers_keep_their_type_beside_others(table, issues):
    data = table[["n"]].assign(id=2**53 + 1 + np.arange(4))
    tasks = to_label_studio(issues, data)
    assert [task["data"]["id"] for task in tasks] == [2**53 + 3, 2**53 + 4, 2**53 + 1]
    assert to_argilla(issues, data)[0]["fields"] == {"n": "3.0", "id": str(2**53 + 3)}
