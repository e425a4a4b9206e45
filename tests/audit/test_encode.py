import numpy as np
import pandas as pd
import pytest

from noisyflywheel.audit.encode import (
    categories_of,
    column_kind,
    date_features,
    make_encoder,
    numbers_of,
    plan_columns,
)


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "id": range(40),
            "width": [1.0, np.nan] * 20,
            "count": ["3", "4", "5", None] * 10,
            "color": ["red", "blue", None, "red"] * 10,
            "day": ["2024-01-31", "2024-02-29"] * 20,
            "same": "x",
            "nothing": np.nan,
            "note": [f"a long remark number {i}" for i in range(40)] * 1,
            "paid": [True, False] * 20,
        }
    )


def test_plan(table):
    more = pd.concat([table] * 3, ignore_index=True).assign(id=range(120), note=[f"remark {i}" for i in range(120)])
    plan = plan_columns(more)
    assert plan.numbers == ["width", "count", "paid"]
    assert plan.categories == ["color"]
    assert plan.dates == ["day"]
    assert set(plan.left_out) == {"id", "same", "nothing", "note"}
    assert plan.left_out["id"] == "row number"
    assert plan_columns(more, ["note", "id"]).used == ["id", "note"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 2], "numbers"),
        (["1.5", "2", "2"], "numbers"),
        (["a", "b", "b"], "categories"),
        (pd.to_datetime(["2024-01-01", "2024-01-03", None]), "dates"),
        (["3/4/2024", "3/5/2024", "3/5/2024"], "dates"),
        (pd.Categorical(["a", None, "a"]), "categories"),
        (pd.to_timedelta([1, 2, 2], unit="h"), "numbers"),
    ],
)
def test_kinds(values, kind):
    assert column_kind(pd.Series(values), "c") == (kind, "")


def test_lists_are_left_out():
    assert column_kind(pd.Series([[1], [2]]), "c")[1] == "holds lists or objects"


def test_numbers_by_hand():
    table = pd.DataFrame({"a": ["1", "x", None], "b": [np.inf, 2, 3], "c": pd.to_timedelta([1, 2, None], unit="min")})
    got = numbers_of(table)
    np.testing.assert_array_equal(got, [[1, np.nan, 60], [np.nan, 2, 120], [np.nan, 3, np.nan]])


def test_categories_by_hand():
    got = categories_of(pd.DataFrame({"a": ["x", None], "b": pd.Categorical([1, 2])}))
    assert got.tolist() == [["x", "1"], ["(missing)", "2"]]


def test_dates_by_hand():
    got = date_features(pd.DataFrame({"d": ["1970-01-03 12:00", "nonsense"]}))
    angle = 2 * np.pi * 3 / 365.25
    np.testing.assert_allclose(got[0], [2.5, np.sin(angle), np.cos(angle), 5, 12])  # a Saturday
    assert np.isnan(got[1]).all()


def test_encoder_gives_finite_float32_and_takes_new_rows(table):
    encoder = make_encoder(plan_columns(table.drop(columns=["note"])))
    X = encoder.fit_transform(table)
    assert X.dtype == np.float32
    assert np.isfinite(X).all()
    assert np.abs(X).max() < 10
    new = table.head(2).assign(color=["green", None], day=["2031-01-01", "?"], width=[np.inf, 2])
    assert encoder.transform(new).shape == (2, X.shape[1])


def test_nothing_to_learn_from(table):
    with pytest.raises(ValueError, match="no column is left"):
        make_encoder(plan_columns(table[["same", "nothing"]]))
