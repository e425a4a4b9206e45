"""Suspects and decisions as the tools' own packages take and write them; skipped where a package is not installed."""

import json
import threading
import uuid
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
from issue_tables import issues_of

from noisyflywheel.audit import apply_corrections
from noisyflywheel.audit.changes.labelling_tools import from_argilla, from_label_studio, to_argilla, to_label_studio

LABELS = ["01", "NA", "x"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages


@pytest.fixture
def table():
    frame = pd.DataFrame({"text": ["<p>", "q", "r", None], "n": [1.0, np.nan, 3.0, 4.0]})
    frame["day"] = pd.to_datetime(["2024-05-01", "2024-05-02", None, "2024-05-04"])
    return frame.assign(kind=["01", "NA", "x", "01"])


@pytest.fixture
def issues(table):
    return issues_of(table, [True, False, True, True], [0.3, 0.9, 0.1, 0.2], ["NA", "NA", "01", "x"])


def imported(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def through_a_file(made, path):
    """What another program reads of it: JSON without NaN."""
    path.write_text(json.dumps(made, allow_nan=False), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def interface():
    LabelInterface = imported("label_studio_sdk.label_interface").LabelInterface
    choices = "".join(f'<Choice value="{name}"/>' for name in LABELS)
    found = LabelInterface(
        f'<View><Text name="item" value="$n"/><Choices name="label" toName="item">{choices}</Choices>'
        '<Choices name="sure" toName="item"><Choice value="yes"/></Choices></View>'
    )
    found.validate()
    return found


def annotated(task, view, **answers):
    """The task as Label Studio exports it, each question answered by its own control."""
    objects = imported("label_studio_sdk.label_interface.objects")
    regions = [view.get_control(name).label(choices=[label]) for name, label in answers.items()]
    made = objects.AnnotationValue(result=regions, completed_by=7).model_dump()
    assert view.validate_annotation(made)
    return objects.TaskValue(**task).model_dump() | {"annotations": [made]}


def test_label_studio_takes_the_tasks(table, issues, tmp_path):
    view = interface()
    tasks = through_a_file(to_label_studio(issues, table.drop(columns="kind")), tmp_path / "tasks.json")
    assert len(tasks) == 3
    for task in tasks:
        assert view.validate_task({"data": task["data"]})
        (prediction,) = task["predictions"]
        assert view.validate_prediction(prediction, return_errors=True) == []
    prediction["result"][0]["value"]["choices"] = ["a class that is not there"]
    assert not view.validate_prediction(prediction)


def test_decisions_come_back_from_label_studio(table, issues, tmp_path):
    view = interface()
    tasks = to_label_studio(issues, table[["n"]])
    answers = [{"label": "01", "sure": "yes"}, {"label": "01"}, {"label": "x"}]
    done = through_a_file([annotated(t, view, **a) for t, a in zip(tasks, answers, strict=True)], tmp_path / "out.json")
    decisions = from_label_studio(done)
    assert decisions[["row", "decision", "by"]].values.tolist() == [
        [3, "accept", "7"],
        [4, "reject", "7"],
        [1, "set", "7"],
    ]
    assert list(apply_corrections(table, issues, label="kind", decisions=decisions).kind) == ["x", "NA", "01", "01"]


class Hello(BaseHTTPRequestHandler):
    """Who is logged in: the one thing that Argilla's client asks a server for before anything can be made."""

    def do_GET(self):
        said = json.dumps({"id": str(uuid.uuid4()), "username": "ada", "role": "owner"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args):
        pass


@pytest.fixture
def rg(monkeypatch):
    found = imported("argilla")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.Argilla(api_url=f"http://127.0.0.1:{server.server_port}", api_key="none")
        yield found
        server.shutdown()


def settings(rg):
    found = rg.Settings(
        fields=[rg.TextField(name) for name in ("text", "n", "day")],
        questions=[rg.LabelQuestion("label", labels=LABELS)],
        metadata=[rg.IntegerMetadataProperty("row"), rg.TermsMetadataProperty("fingerprint")],
    )
    found.validate()
    return found


def test_argilla_takes_the_records(rg, table, issues, tmp_path):
    asked = settings(rg)
    made = through_a_file(to_argilla(issues, table.drop(columns="kind")), tmp_path / "records.json")
    assert [entry["fields"]["day"] for entry in made] == ["", "2024-05-04 00:00:00", "2024-05-01 00:00:00"]
    for entry in made:
        record = rg.Record.from_dict(entry)
        sent = record.api_model().model_dump()
        assert sent["external_id"] == str(record.metadata["row"])
        assert set(sent["fields"]) == {field.name for field in asked.fields}
        assert all(isinstance(value, str) for value in sent["fields"].values())
        (suggestion,) = record.suggestions
        assert suggestion.value in asked.questions["label"].labels
        assert 0 <= suggestion.score <= 1


def test_decisions_come_back_from_argilla(rg, table, issues, tmp_path):
    records = [rg.Record.from_dict(entry) for entry in to_argilla(issues, table[["text"]])]
    for record, labels in zip(records, [["01", "01", "x"], ["01", None], ["x"]], strict=True):
        for label in labels:
            record.responses.add(rg.Response("label", label, user_id=uuid.uuid4()))
    written = through_a_file([record.to_dict() for record in records], tmp_path / "out.json")
    decisions = from_argilla(written)
    assert decisions.decision.tolist() == ["accept", "reject", "set"]
    assert list(apply_corrections(table, issues, label="kind", decisions=decisions).kind) == ["x", "NA", "01", "01"]
