import html
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit.checks.preflight import Finding
from noisyflywheel.audit.report.numbers import report_numbers
from noisyflywheel.audit.report.page import percent, write_report
from noisyflywheel.audit.report.suspects import named_file
from noisyflywheel.audit.scores.cross_val import CrossValAudit
from noisyflywheel.audit.scores.estimates import estimate_wrong_labels, expected_gain, rows_to_reach
from noisyflywheel.audit.scores.table import TableAudit, audit_table
from noisyflywheel.estimator.fitted.issues import label_issues_frame

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def audit():
    classes = np.array([SCRIPT, "b&b", "cat"])
    rng = np.random.default_rng(0)
    given, quality = classes[rng.integers(0, 3, 60)], rng.random(60)
    Q = rng.dirichlet(np.ones(3), 60)
    issues = label_issues_frame(given, classes, quality, quality, Q, Q, index=[f"row{i}" for i in range(60)])
    return CrossValAudit(classes, quality, Q, np.full((3, 3), 1 / 3), issues)


class Page(HTMLParser):
    """Open tags and addresses of a page; fails on an unclosed tag."""

    VOID = {"meta", "img", "input", "br", "link"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(audit, tmp_path):
    path = write_report(tmp_path / "r.html", audit, np.zeros((60, 5, 5), np.uint8), title=SCRIPT)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert all(link.startswith(("#", "data:image/")) for link in page.links)
    assert not re.search(r"https?://", text)
    assert page.tags.count("script") == 4
    assert page.tags.count("main") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert SCRIPT not in text
    assert "b&amp;b" in text
    n = int(audit.issues.is_label_issue.sum())
    rows = data_of(text)["rows"]
    assert len(rows) == n
    assert rows[0]["quality"] == pytest.approx(audit.issues.label_quality.min(), abs=1e-4)
    assert {row["given"] for row in rows} <= {SCRIPT, "b&b", "cat"}


def data_of(text):
    """What the script of the page reads."""
    return json.loads(re.search(r'id="data">(.*?)</script>', text)[1])


def test_every_suspect_has_what_is_needed_to_decide(audit, tmp_path):
    files = [f"../pictures/a b/{i}.png" for i in range(60)]
    data = data_of(write_report(tmp_path / "r.html", audit, files=files).read_text())
    assert data["classes"] == [SCRIPT, "b&b", "cat"]
    issues = audit.issues.reset_index(drop=True)
    for row in data["rows"]:
        line = issues.loc[row["row"] - 1]
        changed = line.refurbished_label != line.given_label
        assert row["href"] == f"../pictures/a%20b/{row['row'] - 1}.png"
        assert row["file"] == f"{row['row'] - 1}.png"
        assert row["other"] == (line.refurbished_label if changed else row["other"])
        if changed:
            assert row["confidence"] == pytest.approx(line.refurbished_confidence, abs=1e-4)
            assert not row["perhaps"]
        elif row["other"] is not None:
            assert row["perhaps"]
            assert row["other"] == line.predicted_label
            assert row["confidence"] == pytest.approx(1 - line.refurbished_confidence, abs=1e-4)


def test_findings_columns_and_warnings_are_shown(audit, tmp_path):
    columns = pd.DataFrame(
        {"column": ["w"], "taken_as": ["number"], "share_missing": [0.25], "remark": ["decimal comma"]}
    )
    found = [Finding("rare class", "Class 'x' is rare.", tuple(range(1, 20)))]
    whole = TableAudit(audit.issues, audit, LogisticRegression(), columns, found, ["<b>turned</b>"])
    text = write_report(tmp_path / "r.html", whole).read_text()
    Page(text)
    assert "Class &#39;x&#39; is rare." in text
    assert "and 7 more" in text
    assert "decimal comma" in text
    assert "&lt;b&gt;turned&lt;/b&gt;" in text
    assert f"{audit.issues.is_label_issue.sum()} of 60 labels" in text


def test_the_top_is_for_someone_without_time(audit, tmp_path):
    issues = audit.issues
    n, clean = int(issues.is_label_issue.sum()), audit.clean_proba_
    gain = expected_gain(clean, np.argsort(issues.label_quality.to_numpy()), n)
    wrong = estimate_wrong_labels(clean)
    text = html.unescape(write_report(tmp_path / "r.html", audit).read_text())
    assert f"About {n} of 60 labels" in text
    assert f"Checking the {n} most doubtful ones would put about {gain.n_mended:.0f} right" in text
    assert f"from {percent(gain.before)} to {percent(gain.after)}." in text
    assert f"{wrong.low} to {wrong.high} are wrong (90 % interval)" in text
    assert f"{rows_to_reach(clean, np.argsort(issues.label_quality.to_numpy()))} rows for 99 %" in text
    assert "Its interval covers chance only" in text


def test_decisions_so_far_are_in_the_page(audit, tmp_path):
    issues = audit.issues.assign(decided=np.arange(60) == 5)
    issues.loc["row5", "is_label_issue"] = False
    told = CrossValAudit(audit.classes_, audit.clean_proba_, audit.refurbished_proba_, np.eye(3), issues)
    decisions = pd.DataFrame({"row": [6, 6], "decision": ["skip", "Set"], "new_label": [None, SCRIPT]})
    text = write_report(tmp_path / "r.html", told, decisions=decisions).read_text()
    data = data_of(text)
    assert data["decisions"] == {"6": {"decision": "set", "label": SCRIPT, "by": "", "when": ""}}
    assert data["rows"][-1]["row"] == 6
    assert "1 label is decided." in text
    assert SCRIPT not in text
    worst = text[text.index('id="worst"') : text.index('id="list"')]
    assert "row 6<" not in worst  # it is no suspect
    suspects = issues.given_label[issues.is_label_issue].value_counts()
    assert worst.count('class="chip"') == suspects.clip(upper=10).sum() > 0


def test_why_and_what_lies_near_are_in_the_page(tmp_path):
    true = np.repeat(["a", "b"], 30)
    given = np.where(np.arange(60) == 0, "b", true)
    Q = np.where((true == "a")[:, None], [[0.9, 0.1]], [[0.1, 0.9]])
    clean = np.where(given == true, 1.0, 0.0)
    issues = label_issues_frame(given, ["a", "b"], clean, clean, Q, Q)
    x = np.where(true == "a", 1.0, 9.0) + np.arange(60) / 100
    data = data_of(write_report(tmp_path / "r.html", issues, pd.DataFrame({"x": x}), features=x[:, None]).read_text())
    (row,) = data["rows"]
    assert row["near"] == [2, 3, 4]
    assert row["why"] == ["x is 1: a has mostly about 1.08, b about 9.37.", "All 10 most similar sure rows are “a”."]
    assert set(data["beside"]) == {"2", "3", "4"}
    assert data["beside"]["2"] == {"values": [["x", "1.01"]]}
    pictures = np.where(true == "a", 10, 240)[:, None, None] * np.ones((1, 4, 4))
    files = [f"p/{i}.png" for i in range(60)]
    text = write_report(tmp_path / "r.html", issues, pictures.astype(np.uint8), files=files).read_text()
    beside = data_of(text)["beside"]["2"]
    assert beside["image"].startswith("data:image/")
    assert (beside["file"], beside["href"]) == ("1.png", "p/1.png")
    assert "sure rows of the suggested class" in text


def test_texts_values_and_limits(audit, tmp_path):
    texts = [f"text <i>{i}</i>" for i in range(60)]
    text = write_report(tmp_path / "r.html", audit, texts=texts, max_rows=3, per_class=1).read_text()
    rows = data_of(text)["rows"]
    assert len(rows) == 3
    assert all(re.fullmatch(r"text <i>\d+</i>", row["text"]) for row in rows)
    assert "text &lt;i&gt;" in text
    assert "text <i>" not in text
    table = pd.DataFrame({"width": np.linspace(0, 1, 60), "when": pd.Timestamp("2024-02-03")})
    text = write_report(tmp_path / "r.html", audit, table).read_text()
    assert "<em>width</em>" in text
    assert "2024-02-03" in text


def test_a_table_of_issues_alone(audit, tmp_path):
    text = write_report(tmp_path / "r.html", audit.issues, settings={"folds": 5}).read_text()
    assert "<dt>folds</dt><dd>5</dd>" in text
    assert "row0" in text or "row1" in text


def test_a_class_that_no_row_seems_to_be_lost_none():
    given, better = np.array(list("aabbbc")), np.array(list("aabbba"))
    issues = label_issues_frame(given, list("abc"), np.ones(6), np.ones(6), *2 * [np.eye(3)[[0, 0, 1, 1, 1, 0]]])
    assert (issues["refurbished_label"] == better).all()
    numbers = report_numbers(issues, issues)
    lost = {line["class_label"]: line["inverse_noise_rate"] for line in numbers["summary"]}
    assert lost == {"a": pytest.approx(1 / 3), "b": 0, "c": 0}


def test_classes_that_are_floats_are_written_alike_everywhere(tmp_path):
    rng = np.random.default_rng(0)
    Q = rng.dirichlet(np.ones(2), 30)
    issues = label_issues_frame(rng.integers(0, 2, 30).astype(float), [0.0, 1.0], Q[:, 0], Q[:, 0], Q, Q)
    audit = CrossValAudit(np.array([0.0, 1.0]), Q[:, 0], Q, np.full((2, 2), 0.5), issues)
    for found in (audit, issues):
        text = write_report(tmp_path / "r.html", found).read_text(encoding="utf-8")
        assert " 0 and 1 are confused most often." in text
        assert data_of(text)["classes"] == ["0", "1"]
        assert not re.search(r"\b[01]\.0 (and|↔)|class [01]\.0|<b>[01]\.0<|<td[^>]*>[01]\.0 ?<", text)


def test_rows_may_have_names_of_several_levels(audit, tmp_path):
    audit.issues.index = pd.MultiIndex.from_product([range(30), ["left", "right"]])
    write_report(tmp_path / "r.html", audit)
    assert "left" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_table_whose_suspects_are_text(audit, tmp_path):
    text = audit.issues.assign(is_label_issue=audit.issues.is_label_issue.map({True: "WAHR", False: "FALSCH"}))
    pages = [write_report(tmp_path / "r.html", issues).read_text() for issues in (audit.issues, text)]
    rows = [data_of(page)["rows"] for page in pages]
    assert rows[0] == rows[1]
    assert len({re.search(r"About \d+ of 60 labels", page)[0] for page in pages}) == 1


def test_tables_that_are_none_of_issues(audit, tmp_path):
    issues = audit.get_label_issues()
    with pytest.raises(ValueError, match="no column 'refurbished_label'"):
        write_report(tmp_path / "r.html", issues.drop(columns="refurbished_label"))
    with pytest.raises(ValueError, match="no column 'predicted_label'"):
        write_report(tmp_path / "r.html", issues.drop(columns="predicted_label"))
    with pytest.raises(ValueError, match="no rows"):
        write_report(tmp_path / "r.html", issues.iloc[:0])


def test_what_judges_no_labels_is_named(audit, tmp_path):
    pipe = make_pipeline(StandardScaler(), FlywheelClassifier())
    with pytest.raises(TypeError, match=r"audit must be a fitted .* got Pipeline: pass its last step, \[-1\]$"):
        write_report(tmp_path / "r.html", pipe)
    with pytest.raises(TypeError, match="got ndarray$"):
        write_report(tmp_path / "r.html", np.zeros((60, 2)), audit)


def test_no_suspects(audit, tmp_path):
    clean = audit.issues.assign(is_label_issue=False, refurbished_label=audit.issues.given_label)
    text = write_report(tmp_path / "r.html", clean).read_text()
    Page(text)
    assert "No label of this data looks wrong" in text


def test_rows_that_do_not_match(audit, tmp_path):
    with pytest.raises(ValueError, match="X has 3 rows, the audit has 60"):
        write_report(tmp_path / "r.html", audit, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="texts has 2 rows"):
        write_report(tmp_path / "r.html", audit, texts=["a", "b"])


def test_rows_without_a_label_are_not_in_the_report(tmp_path):
    table = pd.DataFrame({"x": np.arange(40.0), "kind": ["", "a", "a", "b"] * 10})
    audit = audit_table(table, "kind", estimator=LogisticRegression(), cv=2)
    with pytest.raises(ValueError, match=r"X has 40 rows, the audit has 30: pass those that were judged, X\.iloc\["):
        write_report(tmp_path / "r.html", audit, table)
    write_report(tmp_path / "r.html", audit, table.iloc[audit.issues["row"] - 1])


def test_issues_in_another_order_than_the_rows_are_refused(audit, tmp_path):
    X, issues = pd.DataFrame({"x": np.arange(60)}), audit.issues.assign(row=np.arange(60) + 1).reset_index(drop=True)
    worst = issues.sort_values("label_quality")
    for mixed in (worst, worst.reset_index(drop=True)):  # the second as read_issues gives issues.csv
        for more in ({"X": X}, {"X": X.to_numpy()}, {"texts": list(range(60))}):
            with pytest.raises(ValueError, match=r"sort both by row, as issues.sort_values\('row'\) does"):
                write_report(tmp_path / "r.html", mixed, **more)
        write_report(tmp_path / "r.html", mixed)
    write_report(tmp_path / "r.html", worst, X.loc[worst.index])
    data = re.search('id="data">(.*?)</script>', (tmp_path / "r.html").read_text(encoding="utf-8"))[1]
    assert all(line["values"] == [["x", str(line["row"] - 1)]] for line in json.loads(data)["rows"])
    assert write_report(tmp_path / "s.html", worst.reset_index(drop=True).sort_values("row"), X)
    with pytest.raises(ValueError, match=r"another order, .*: pass issues.loc\[X.index\]"):
        write_report(tmp_path / "r.html", worst.drop(columns="row"), X)
    write_report(tmp_path / "r.html", worst.drop(columns="row"), X.loc[worst.index])
    plain = audit.issues.reset_index(drop=True)
    for judged, rows in ((audit, X[::-1]), (plain, X[::-1].set_axis(range(60, 120)))):  # an index that says nothing
        write_report(tmp_path / "r.html", judged, rows)
    for judged in (plain, issues):
        with pytest.raises(ValueError, match=r"X and issues have the same index labels in another order"):
            write_report(tmp_path / "r.html", judged, X[::-1])
    levels = X.set_axis(pd.MultiIndex.from_arrays([[1] * 60, range(60)]))
    write_report(tmp_path / "r.html", audit.issues, levels)


def shown_order(audit, tmp_path, **paired):
    write_report(tmp_path / "r.html", audit, **paired)
    data = re.search('id="data">(.*?)</script>', (tmp_path / "r.html").read_text(encoding="utf-8"))[1]
    return [line["row"] for line in json.loads(data)["rows"]]


@pytest.mark.parametrize("name", ["X", "texts", "files", "features"])
@pytest.mark.parametrize("index", [None, [f"row{i}" for i in range(60)], range(60, 120)])
def test_rows_in_another_order_than_those_of_an_audit_are_refused(audit, tmp_path, name, index):
    index = range(60) if index is None else index
    audit.issues.index = pd.Index(index)
    rows = pd.Series([f"text {i}" for i in range(60)], index=index)
    rows = rows.map(len).to_frame() if name in ("X", "features") else rows
    with pytest.raises(
        ValueError, match=rf"{name} and audit have .*another order.*pass {name}.loc\[audit.get_label_issues\(\).index\]"
    ):
        write_report(tmp_path / "r.html", audit, **{name: rows[::-1]})
    assert shown_order(audit, tmp_path, **{name: rows[::-1].loc[audit.get_label_issues().index]})
    assert shown_order(audit, tmp_path, **{name: rows[::-1].set_axis(range(1000, 1060))})  # it says nothing


@pytest.mark.parametrize("order", [slice(None, None, -1), np.random.default_rng(0).permutation(40)])
def test_rows_in_another_order_than_those_of_a_fit_or_a_table_are_refused(tmp_path, order):
    table = pd.DataFrame({"x": np.arange(40.0), "y": np.arange(40) % 7, "kind": ["a", "b"] * 20})
    table.index = np.random.default_rng(1).permutation(40)
    fitted = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0).fit(table[["x", "y"]], table["kind"])
    for judged in (fitted, audit_table(table, "kind", estimator=LogisticRegression(), cv=2)):
        with pytest.raises(ValueError, match="X and audit have the same index labels in another order"):
            write_report(tmp_path / "r.html", judged, table.iloc[order])
        write_report(tmp_path / "r.html", judged, table)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(0, "0 %"), (0.004, "0.4 %"), (0.25, "25 %"), (1, "100 %"), (0.9999, "99.9 %"), (np.nan, "–")],
)
def test_percent(rate, expected):
    assert percent(rate) == expected


@pytest.mark.parametrize(
    ("file", "href"),
    [("javascript:alert(1)/0.png", "./javascript:alert(1)/0.png"), ("../a:b/0.png", "../a:b/0.png")]
    + [("C:/a/0.png", "file:///C:/a/0.png")]
    + [(name, name) for name in ("https://a.example/0.png", "file:///a/0.png", "a/0.png")],
)
def test_links_to_files_run_nothing(file, href):
    assert unquote(named_file([file], 0)["href"]) == href
