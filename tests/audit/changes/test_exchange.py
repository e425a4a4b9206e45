import json

import numpy as np
import pandas as pd
import pytest
from cleanlab.classification import CleanLearning
from issue_tables import issues_of
from PIL import Image
from sklearn.linear_model import LogisticRegression

from noisyflywheel.audit import apply_corrections, audit_probabilities, review, write_report
from noisyflywheel.audit.changes.exchange import (
    from_argilla,
    from_cleanlab,
    from_label_studio,
    to_argilla,
    to_cleanlab,
    to_label_studio,
)


@pytest.fixture
def table():
    return pd.DataFrame({"text": list("pqrs"), "n": [1.0, np.nan, 3.0, 4.0], "kind": ["01", "NA", "x", "01"]})


@pytest.fixture
def issues(table):
    return issues_of(table, [True, False, True, True], [0.3, 0.9, 0.1, 0.2], ["NA", "NA", "01", "x"])


def test_cleanlab_and_back(issues, tmp_path):
    classes = ["01", "NA", "x"]
    theirs = to_cleanlab(issues, classes)
    assert theirs.given_label.tolist() == [0, 1, 2, 0]
    y = np.repeat([0, 1, 2], 20)
    X = y[:, None] + np.random.default_rng(0).normal(size=(60, 1))
    options = {"n_jobs": 1, "min_examples_per_class": 0}
    learner = CleanLearning(LogisticRegression(), cv_n_folds=2, find_label_issues_kwargs=options)
    own = learner.find_label_issues(X, y)
    ours = from_cleanlab(own, classes)
    assert ours.given_label.tolist() == [classes[code] for code in y]
    pd.testing.assert_frame_equal(to_cleanlab(ours, classes), own[list(theirs.columns)], check_dtype=False)
    page = write_report(tmp_path / "r.html", ours.assign(is_label_issue=True)).read_text()
    assert '"confidence":null' in page  # cleanlab does not say how sure it is
    again = from_cleanlab(theirs, classes)
    assert again.predicted_label.tolist() == issues.predicted_label.tolist()
    CleanLearning(LogisticRegression()).fit(X, y, label_issues=to_cleanlab(ours, classes))
    assert len(apply_corrections((X, np.array(classes)[y]), ours)[1]) == 60 - ours.is_label_issue.sum()


def answered(task, choice, **more):
    result = [{"id": "a", "from_name": "label", "to_name": "item", "type": "choices", "value": {"choices": [choice]}}]
    return task | {"id": 5, "annotations": [{"id": 1, "result": result, "was_cancelled": False, **more}]}


def test_classes_that_are_not_cleanlabs(issues):
    with pytest.raises(ValueError, match="given_label 'x' is not among the classes"):
        to_cleanlab(issues, ["01", "NA"])
    theirs = to_cleanlab(issues, ["01", "NA", "x"])
    with pytest.raises(ValueError, match="no code of 2 classes"):
        from_cleanlab(theirs, ["01", "NA"])
    with pytest.raises(ValueError, match="given_label -1 is no code"):
        from_cleanlab(theirs.assign(given_label=[-1, 0, 0, 0]), ["01", "NA", "x"])
    with pytest.raises(ValueError, match="no column 'predicted_label'"):
        from_cleanlab(theirs.drop(columns="predicted_label"), ["01", "NA", "x"])


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
    assert rows_of(to_tool(alike.set_axis([2, 5, 6, 9]), table)) == [3, 4, 1]
    with pytest.raises(ValueError, match="no column 'row' and their index does not rise"):
        to_tool(alike.sort_values("label_quality"), table.loc[alike.sort_values("label_quality").index])
    with pytest.raises(ValueError, match="no column 'refurbished_confidence'"):
        to_tool(alike.drop(columns="refurbished_confidence"), table)


def test_decisions_on_issues_of_an_estimator_come_back(table, issues):
    alike = issues.drop(columns=["row", "fingerprint"])
    first = to_label_studio(alike, table[["text"]])[0]
    decisions = from_label_studio([answered(first, "01")])
    assert list(apply_corrections(table, alike, label="kind", decisions=decisions).kind) == ["01", "NA", "01", "01"]


def test_review_in_a_notebook(table, issues, tmp_path):
    shown = review(issues, table[["text"]], title='a "title"', height=300)
    frame = shown._repr_html_()
    assert frame.startswith("<iframe title=")
    assert 'height="300"' in frame
    assert frame.count('"') == 8
    saved = shown.save(tmp_path / "r.html").read_text(encoding="utf-8")
    assert (
        saved[:200] == write_report(tmp_path / "s.html", issues, table[["text"]], title='a "title"').read_text()[:200]
    )


def test_links_to_pictures_do_not_depend_on_where_the_review_is(issues, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{row}.png" for row in range(4)]
    for name in names:
        Image.new("L", (8, 8)).save(name)
    page = review(issues, names).page
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert {row["href"] for row in data["rows"]} <= {(tmp_path / name).as_posix() for name in names}


def test_an_audit_in_place_of_its_table_is_refused(table):
    audit = audit_probabilities(np.eye(2)[[0, 1, 0, 1]], [0, 1, 1, 1])
    for make in (to_label_studio, to_argilla, to_cleanlab):
        with pytest.raises(TypeError, match="issues must be a pandas DataFrame, got CrossValAudit: pass what its get_"):
            make(audit, table)
