import numpy as np
import pandas as pd
import pytest
from looked_at import kinds, look, noise

from noisyflywheel.audit.checks.finding import Finding
from noisyflywheel.audit.checks.preflight import preflight


def test_contradictions_ignore_identifiers():
    table = noise().assign(id=range(60))
    table.loc[[10, 20], ["x", "c"]] = [0.5, "p"]
    table.loc[[10, 20], "kind"] = ["ham", "spam"]
    assert kinds(look(table))["contradiction"].rows == (11, 21)


def test_equal_lists_are_equal_content():
    table = pd.DataFrame({"tags": [["a"], ["b"], ["a"], ["c"]], "kind": ["x", "y", "y", "x"]})
    assert kinds(preflight(table, "kind"))["contradiction"].rows == (1, 3)
    assert kinds(look(table.assign(same=1)))["contradiction"].rows == (1, 3)
    arrow = table.assign(tags=pd.arrays.ArrowExtensionArray(pytest.importorskip("pyarrow").array(table.tags.tolist())))
    assert kinds(preflight(arrow, "kind"))["contradiction"].rows == (1, 3)


def test_copies_with_their_label():
    table = noise()
    whole = pd.concat([table, table.iloc[[4] * 4 + [7]]], ignore_index=True).assign(id=[f"k{i}" for i in range(65)])
    text = "5 rows are copies of an earlier row, label included: copies are judged as one."
    assert look(whole) == [Finding("copies", text, (61, 62, 63, 64, 65))]
    other = whole.assign(kind=np.where(whole.index == 64, "egg", whole.kind))
    assert kinds(look(other))["contradiction"].rows == (8, 65)
    assert "copies" not in kinds(look(other))


def test_copies_are_numbered_as_in_the_table():
    table = noise()
    whole = pd.concat([table.assign(kind=None).iloc[:2], table, table.iloc[[0] * 4]], ignore_index=True)
    assert kinds(look(whole))["copies"].rows == (63, 64, 65, 66)


def test_answers_of_few_kinds_are_no_copies():
    rng = np.random.default_rng(0)
    survey = pd.DataFrame({name: rng.choice(["yes", "no"], 60) for name in "abc"}).assign(kind="ham")
    survey.loc[::2, "kind"] = "spam"
    assert "copies" not in kinds(look(survey.assign(kind=survey.a.map({"yes": "ham", "no": "spam"}))))
