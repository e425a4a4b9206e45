import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noisyflywheel.audit import audit_probabilities, review, write_report


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


def test_texts_in_another_order_than_the_audit_are_refused():
    issues = pd.Series([0, 1, 1, 0], index=list("pqrs"))
    audit = audit_probabilities(np.eye(2)[[0, 1, 0, 1]], issues)
    texts = pd.Series(["one", "two", "three", "four"], index=issues.index)
    assert "three" in review(audit, texts=texts).page
    with pytest.raises(ValueError, match="texts and audit have the same index labels in another order"):
        review(audit, texts=texts[::-1])
