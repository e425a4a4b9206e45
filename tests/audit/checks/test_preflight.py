import time

import numpy as np
import pandas as pd
import pytest
from looked_at import kinds, look, noise

from noisyflywheel.audit.checks.preflight import Finding, preflight, rare_classes, similar_names
from noisyflywheel.data.encoder.columns import plan_columns
from noisyflywheel.data.encoder.encode import TableEncoder


def test_nothing_to_say():
    assert look(noise()) == []


def test_missing_labels_and_rare_classes():
    table = noise()
    table.loc[[3, 5], "kind"] = None
    table.loc[[7], "kind"] = "egg"
    found = kinds(look(table))
    assert found["missing labels"] == Finding("missing labels", "2 rows have no label and are not judged.", (4, 6))
    assert found["rare class"].rows == (8,)
    assert "'egg' has 1 row only" in found["rare class"].text


def test_many_findings_of_one_kind_are_told_together():
    labels = np.repeat(np.array([f"class {c}" for c in "abcdefghijklm"], dtype=object), 2)
    found = rare_classes(labels, np.arange(26) + 1)
    assert [f.text.split()[2] for f in found[:10]] == [f"{c}'" for c in "abcdefghij"]
    assert found[10:] == [Finding("rare class", "3 more classes have fewer than 10 rows.", (21, 22, 23, 24, 25, 26))]
    assert len(rare_classes(labels[:22], np.arange(22) + 1)) == 11  # the last one by its name
    names = np.array([f"a long name of the class {c}" for c in "abcdef"], dtype=object)
    found = similar_names(names, np.arange(6) + 1)
    assert found[10:] == [Finding("similar names", "5 more pairs of classes have almost the same name.", (3, 4, 5))]


def test_similar_names():
    def pairs(*names):
        labels = np.array(names, dtype=object)
        return [f.text for f in similar_names(labels, np.arange(1, len(names) + 1))]

    assert len(pairs("Cat", "cat ", "dog")) == 1
    assert len(pairs("café", "cafe", "ice-cream", "ice cream")) == 2
    assert len(pairs("electronics", "electronic")) == 1
    assert len(pairs("Home and Garden/Kitchen/Knives", "Home and Garden/Kitchen/Knifes")) == 1
    assert pairs("Clothing, Shoes and Jewelry/Women/Belts", "Clothing, Shoes and Jewelry/Women/Hats") == []
    assert pairs("class 1", "class 2", "class 11") == []
    assert pairs("left", "right", "bat", "cat", "+", "-") == []
    assert pairs("-1", "1", "1.0", "10", "-100.5", "100.5") == []
    assert len(pairs("1 ", "1", "50.5 km", "505 km")) == 2
    labels = np.array(["Cat", "Cat", "cat "], dtype=object)
    assert similar_names(labels, np.array([1, 2, 3]))[0].rows == (3,)


def test_a_column_that_gives_the_label_away():
    table = noise()
    leaks = (table.kind == "ham") * 3.0 + np.random.default_rng(1).random(60)
    found = look(table.assign(code=table.kind.map({"ham": "h", "spam": "s"}), score=leaks))
    assert [f.kind for f in found] == ["leakage", "leakage"]
    assert "'code'" in found[0].text
    assert "'score'" in found[1].text
    nearly = table.kind.where(np.arange(60) % 10 > 0, "ham")
    assert look(table.assign(code=nearly)) == []


@pytest.mark.parametrize("unit", [1e-300, 1e-8, 1.0, 1e8, 1e300])
@pytest.mark.parametrize("missing", [False, True])
def test_a_column_gives_the_label_away_in_any_unit(unit, missing):
    table = noise()
    is_ham = (table.kind == "ham").to_numpy()
    leaks = 2 * np.random.default_rng(1).random(60) + 3 * is_ham
    if missing:  # that a cell is missing tells it too
        leaks[is_ham] = np.nan
    else:  # one large number does not hide the others
        leaks[np.flatnonzero(~is_ham)[0]] = -1e6
    assert kinds(look(table.assign(score=leaks * unit))).keys() == {"leakage"}
    assert look(table.assign(score=table.x * unit)) == []


def test_columns_may_be_called_by_numbers():
    table = noise().assign(id=range(60))
    table.loc[[10, 20], ["x", "c"]] = [0.5, "p"]
    table.loc[[10, 20], "kind"] = ["ham", "spam"]
    table = table.assign(code=table.kind.map({"ham": "h", "spam": "s"}))[["x", "c", "kind", "id", "code"]]
    numbered = table.set_axis(range(5), axis=1).rename(columns={3: "id"})
    for plan in (plan_columns(numbered, leave_out=[2]), TableEncoder(leave_out=[2]).fit(numbered).plan_):
        found = kinds(preflight(numbered, 2, plan, groups=1))
        assert found["leakage"].text.startswith("Column '4' alone tells")
        assert found["groups"].text.startswith("3 groups in '1'")
    assert kinds(preflight(numbered.drop(columns=4), 2, plan[:-1]))["contradiction"].rows == (11, 21)


def test_groups():
    table = noise().assign(patient=[f"p{i // 3}" for i in range(60)])
    assert "'patient' has 20 values in 60 rows" in kinds(look(table))["groups"].text
    assert "20 groups in 'patient'" in kinds(look(table, groups="patient"))["groups"].text


def test_it_is_quick():
    rng = np.random.default_rng(0)
    n = 20_000
    table = pd.DataFrame(rng.normal(size=(n, 20))).rename(columns=str).assign(kind=rng.choice(list("abcde"), n))
    plan = plan_columns(table, leave_out=["kind"])
    start = time.process_time()
    preflight(table, "kind", plan)
    assert time.process_time() - start < 3


def test_a_table_alone_tells_as_much_as_with_its_plan():
    code = np.arange(60) % 2
    table = noise().assign(made=np.where(code, "p", "q"), kind=np.where(code, "ham", "spam"))
    twice = pd.concat([table, table.assign(kind="ham")], ignore_index=True).assign(id=[f"k{i}" for i in range(120)])
    for one, kind in ((table, "leakage"), (twice, "contradiction")):
        assert kind in kinds(look(one))
        assert preflight(one, "kind") == look(one)
    with pytest.raises(ValueError, match="two columns are called 'x'"):
        preflight(table.rename(columns={"made": "x"}), "kind")


def test_a_column_that_tells_the_few_held_out_labels_only_gives_none_away():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 80)
    table = pd.DataFrame({"x": rng.normal(y, 0.4), "kind": np.where(y == 1, "ham", "spam")})
    assert preflight(table, "kind") == []  # no threshold tells more than 77 of the 80


def test_a_class_of_one_row_hides_no_column_that_gives_the_others_away():
    table = noise()
    leaks = (table.kind == "ham") * 3.0 + np.random.default_rng(1).random(60)
    typo = table.assign(kind=table.kind.where(np.arange(60) != 7, "Ham"))
    assert "leakage" in kinds(look(typo.assign(score=leaks)))
    assert "leakage" in kinds(look(typo.assign(seen=pd.Timestamp("2024-01-01") + pd.to_timedelta(leaks, unit="D"))))
    alone = table.assign(kind=["ham"] * 58 + ["spam"] * 2, score=np.arange(60.0))
    assert "leakage" not in kinds(look(alone))
