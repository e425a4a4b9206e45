import pickle
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from noisyflywheel.data.encoder.columns import is_missing, plan_column, read_dates, read_numbers
from noisyflywheel.data.encoder.encode import TableEncoder
from noisyflywheel.data.encoder.notation import read_number
from noisyflywheel.data.encoder.readers import CategoryReader, category_text, date_parts


@pytest.fixture
def table():
    n = 120
    return pd.DataFrame(
        {
            "id": range(n),
            "width": [1.0, np.nan] * 60,
            "count": ["3", "4", "5", None] * 30,
            "color": ["red", "blue", None, "red"] * 30,
            "day": ["2024-01-31", "2024-02-29"] * 60,
            "same": "x",
            "nothing": np.nan,
            "note": [f"a long remark number {i}" for i in range(n)],
            "paid": [True, False] * 60,
            "price": ["1.234,50 €", "2,5 €", "NA", "3 €"] * 30,
            "zip": ["00510", "90210", "10115", "20095"] * 30,
            "sku": [f"A-{i * 7 % 121}" for i in range(n)],
            "suggested_label": ["x", "y"] * 60,
        }
    )


def test_what_columns_are_taken_for(table):
    columns = TableEncoder().fit(table).columns_.set_index("column")
    assert dict(columns["taken_as"]) == {
        "id": "left out",
        "width": "number",
        "count": "number",
        "color": "category",
        "day": "date",
        "same": "left out",
        "nothing": "left out",
        "note": "text",
        "paid": "number",
        "price": "number",
        "zip": "category",
        "sku": "left out",
        "suggested_label": "left out",
    }
    assert columns.share_missing[["width", "price", "color", "zip"]].tolist() == [0.5, 0.25, 0.25, 0.0]
    assert columns.remark["id"] == "row number"
    assert columns.remark["sku"] == "identifier"
    assert columns.remark["suggested_label"] == "result of an earlier audit"


@pytest.mark.parametrize(
    ("values", "kind", "form"),
    [
        ([1, 2, 2], "number", ""),
        (["1.5", "2", "2"], "number", ""),
        (["1,5", "2", "2"], "number", "comma"),
        (["1.234,5", "2.000.000", "7"], "number", "comma"),
        (["1,234.5", "2,000,000", "7"], "number", ""),
        (["$5", "5 %", "1'000"], "number", ""),
        (["567 €", "1.234 €", "12.345 €"], "number", "thousands"),
        (["\u22121,5", "2", "\u22123"], "number", "comma"),
        (["01", "1", "1"], "category", ""),
        (["a", "b", "b"], "category", ""),
        (pd.to_datetime(["2024-01-01", "2024-01-03", None]), "date", ""),
        (["3/4/2024", "3/25/2024", "3/5/2024"], "date", ""),
        (["3/4/2024", "25/3/2024", "3/5/2024"], "date", "day first"),
        (["3.4.2024", "2.3.2024", "3.5.2024"], "date", "day first"),
        (["05 Mar 2024", "5 March 2024", "06 Mar. 2024"], "date", ""),
        (["Mar 05, 2024", "March 5, 2024", "Mar 5 2024", "Mar. 12, 2024 10:30"], "date", ""),
        (["Room 12, 2024", "Room 5, 2024", "Hall 1 2024"], "category", ""),
        (pd.Categorical(["a", None, "a"]), "category", ""),
        ([True, False, True], "number", "truth"),
        ([True, None, False], "number", "truth"),
        (pd.array([True, None, False], dtype="boolean"), "number", "truth"),
        ([True, 2, 0], "number", ""),
        (pd.Categorical([True, False, True]), "category", ""),
        (["True", "False", "True"], "category", ""),
        (["1", "True", "0"], "category", ""),
        (pd.to_timedelta([1, 2, 2], unit="h"), "number", ""),
    ],
)
def test_kinds(values, kind, form):
    column = plan_column(pd.Series(values), "c")
    assert (column.kind, column.form) == (kind, form)


def test_lists_are_left_out():
    assert plan_column(pd.Series([[1], [2]]), "c").reason == "holds lists or objects"


def test_what_is_no_number_is_missing():
    assert np.isnan(read_numbers(pd.Series(["x", "1,2,3", None, "", "1.2.3", "True"]))).all()
    assert read_numbers(pd.Series([np.inf, 2.0])).isna().tolist() == [True, False]
    assert read_numbers(pd.Series(pd.to_timedelta([1], unit="min"))).tolist() == [60]


def test_categories_by_hand():
    got = CategoryReader().transform(pd.DataFrame({"a": ["x", None], "b": pd.Categorical([1, 2]), "c": ["None", ""]}))
    assert got.tolist() == [["x", "1", "None"], [None, "2", None]]


def test_whole_numbers_are_the_same_category_as_floats():
    """A missing cell turns a column of whole numbers into floats; pandas says nothing of it."""
    column = pd.Series([1, 2, 3] * 10).astype("category")
    encoder = TableEncoder().fit(pd.DataFrame({"c": column}))
    later = pd.DataFrame({"c": pd.Series([1, 2, 3, None], index=[7, 7, 7, 8]).astype("category")})
    np.testing.assert_array_equal(encoder.transform(later)[:3], np.eye(3))
    assert encoder.get_feature_names_out().tolist() == ["c_1", "c_2", "c_3"]
    texts = [category_text(cell) for cell in (2.0, np.float32(2), 2.5, np.nan, True, "2.0")]
    assert texts == ["2", "2", "2.5", "nan", "True", "2.0"]
    assert [category_text(cell) for cell in (np.False_, "FALSE", "true", "True", "truth")] == [
        "False",
        "False",
        "True",
        "True",
        "truth",
    ]


@pytest.mark.parametrize("first", [bool, str, "boolean", "upper"])
def test_truth_values_are_the_same_as_text(first):
    truth = pd.Series([True, False, False, True] * 5)
    forms = {bool: truth, str: truth.astype(str), "boolean": truth.astype("boolean")}
    forms["upper"] = forms[str].str.upper()
    encoder = TableEncoder().fit(pd.DataFrame({"b": forms[first]}))
    expected = encoder.transform(pd.DataFrame({"b": forms[first]}))
    assert len(np.unique(expected, axis=0)) == 2
    for other in forms.values():
        np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"b": other})), expected)


def test_what_a_column_of_truth_values_holds_is_no_remark():
    columns = TableEncoder().fit(pd.DataFrame({"b": [True, False] * 5})).columns_
    assert columns.remark.tolist() == [""]


def test_months_may_come_first():
    dates = read_dates(pd.Series(["Mar 05, 2024", "March 5, 2024", "Mar 5 2024", "05 Mar 2024"]))
    assert (dates == pd.Timestamp(2024, 3, 5)).all()


def test_a_guess_at_the_notation_is_a_remark():
    table = pd.DataFrame({"a": ["567", "1.234", "12.345"], "b": ["567", "1,234", "12,345"], "c": ["5,5", "7", "8"]})
    encoder = TableEncoder().fit(table)
    assert encoder.columns_.remark.tolist() == ["points mark thousands", "", "decimal comma"]
    rows = encoder.transform(table)
    np.testing.assert_array_equal(rows[:, 0], rows[:, 1])


def test_bytes_are_the_text_that_they_stand_for(table):
    columns = ["count", "color", "day", "note"]
    text = table[columns].astype(object).where(table[columns].notna(), None)
    raw = text.map(lambda cell: None if cell is None else cell.encode())
    encoder, of_raw = TableEncoder(), TableEncoder()
    np.testing.assert_array_equal(of_raw.fit_transform(raw), encoder.fit_transform(text))
    np.testing.assert_array_equal(encoder.transform(raw), encoder.transform(text))
    assert of_raw.columns_.equals(encoder.columns_)


@pytest.mark.parametrize("as_objects", [False, True])
@pytest.mark.parametrize("freq", ["M", "D"])
def test_periods_are_dates(freq, as_objects):
    days = pd.Series(pd.date_range("2020-01-01", periods=40, freq="MS")).where(np.arange(40) != 3)
    periods = days.dt.to_period(freq).astype(object if as_objects else f"period[{freq}]")
    assert plan_column(periods, "month").kind == "date"
    pd.testing.assert_series_equal(read_dates(periods), read_dates(days), check_dtype=False)


@pytest.mark.parametrize("dtype", [object, "int64", "Int64"])
def test_numbers_are_no_dates(dtype):
    """pandas takes them for nanoseconds since 1970."""
    milliseconds = pd.Series([1_700_000_000_000, 1_710_000_000_000], dtype=dtype)
    assert read_dates(milliseconds).isna().all()
    mixed = pd.Series([20240131, "2024-01-31", datetime(2024, 1, 31), None], dtype=object)
    assert read_dates(mixed).isna().tolist() == [True, False, False, True]


def test_dates_by_hand():
    got = date_parts(pd.Series(pd.to_datetime(["1970-01-03 12:00", None])))
    angle = 2 * np.pi * 2 / 365.25
    np.testing.assert_allclose(got[0], [2.5, 1970, np.sin(angle), np.cos(angle), 5, 12])  # a Saturday
    assert np.isnan(got[1]).all()


def test_features_are_finite_and_new_rows_are_taken(table):
    encoder = TableEncoder()
    X = encoder.fit_transform(table)
    names = list(encoder.get_feature_names_out())
    assert X.dtype == np.float32
    assert X.shape == (120, len(names))
    assert np.isfinite(X).all()
    assert len(set(names)) == len(names)
    assert {"width", "missingindicator_width", "color_(missing)", "zip_00510", "day_year", "note_0"} <= set(names)
    new = table.head(2).assign(color=["green", None], day=["2031-01-01", "?"], width=[np.inf, 2])
    assert np.isfinite(encoder.transform(new[table.columns[::-1]])).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(new), encoder.transform(new))
    np.testing.assert_array_equal(clone(encoder).fit(table).transform(new), encoder.transform(new))


def test_a_class_called_na_is_a_value():
    names = TableEncoder().fit(pd.DataFrame({"c": ["NA", "None", "x", ""] * 5})).get_feature_names_out()
    assert sorted(names) == ["c_(missing)", "c_NA", "c_None", "c_x"]


def test_named_columns_and_arrays(table):
    encoder = TableEncoder(features=["id", "sku"], text=["color"]).fit(table)
    taken = encoder.columns_.set_index("column").taken_as
    assert taken["id"] == "number"
    assert taken["sku"] == "category"
    assert taken["color"] == "text"
    assert taken["width"] == "left out"
    plain = TableEncoder().fit(np.arange(20.0).reshape(10, 2) ** 2)
    assert plain.get_feature_names_out().tolist() == ["x0", "x1"]
    assert TableEncoder().fit(pd.DataFrame({0: [1.0, 3, 2], 1: ["a", "b", "a"]})).n_features_in_ == 2


def test_features_as_a_frame(table):
    frame = TableEncoder().set_output(transform="pandas").fit_transform(table[["width", "color"]])
    assert list(frame.columns) == ["width", "missingindicator_width", "color_blue", "color_red", "color_(missing)"]


def test_what_is_refused(table):
    with pytest.raises(ValueError, match="no column is left"):
        TableEncoder().fit(table[["same", "nothing"]])
    with pytest.raises(ValueError, match="no column 'q'"):
        TableEncoder(features=["q"]).fit(table)
    with pytest.raises(ValueError, match="'width' that was learnt from is not there"):
        TableEncoder().fit(table).transform(table.drop(columns="width"))
    with pytest.raises(ValueError, match="two columns are called 'a'"):
        TableEncoder().fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(ValueError, match="expected, got shape"):
        TableEncoder().fit([1, 2])
    with pytest.raises(ValueError, match=r"Found a table of shape \(0, .* at least 1 row"):
        TableEncoder().fit(table[:0])
    with pytest.raises(ValueError, match="is not there: X is a ndarray, the fit was on a DataFrame"):
        TableEncoder().fit(table).transform(table.to_numpy())
    with pytest.raises(ValueError, match="is not there: X is a DataFrame, the fit was on an array"):
        TableEncoder().fit(table.to_numpy()).transform(table)


def test_a_second_fit_forgets_the_names_of_the_first(table):
    assert not hasattr(TableEncoder().fit(table).fit(table.to_numpy()), "feature_names_in_")


def test_decimals_are_numbers():
    cells = pd.Series([Decimal("1.50"), None, Decimal("-2"), Decimal("7.25")], dtype=object)
    assert plan_column(cells, "price").kind == "number"
    np.testing.assert_array_equal(read_numbers(cells), [1.5, np.nan, -2.0, 7.25])
    assert read_number(Decimal("0.1"), "comma") == 0.1


@pytest.mark.parametrize(
    "cells",
    [
        [timedelta(minutes=1), None, timedelta(hours=1), timedelta(0)],
        [np.timedelta64(1, "m"), None, np.timedelta64(1, "h"), np.timedelta64(0, "s")],
        [np.float16(60), None, np.float16(3600), np.float16(0)],
    ],
)
def test_durations_and_small_floats_among_objects_are_numbers(cells):
    column = pd.Series(cells, dtype=object)
    assert plan_column(column, "took").kind == "number"
    np.testing.assert_array_equal(read_numbers(column), [60, np.nan, 3600, 0])
    table = pd.DataFrame({"took": column, "kind": list("aabb")})
    as_numbers = table.assign(took=[60.0, np.nan, 3600.0, 0.0])
    np.testing.assert_array_equal(TableEncoder().fit_transform(table), TableEncoder().fit_transform(as_numbers))


@pytest.mark.parametrize("cell", [["a", "b"], [], {"a": 1}, np.array([1.0, 2.0]), np.array([])])
def test_lists_objects_and_arrays_are_left_out(cell):
    cells = pd.Series([cell, None, "", cell], dtype=object)
    assert is_missing(cells).tolist() == [False, True, True, False]
    column = plan_column(cells, "embedding")
    assert (column.kind, column.reason) == ("left out", "holds lists or objects")


def test_encoders_of_earlier_versions_know_no_markers(table):
    encoder = TableEncoder().fit(table)
    expected = encoder.transform(table)
    del encoder.missing
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(table), expected)
    assert clone(again).missing == ()


def test_arrays_have_markers_too():
    rows = np.array([["a", "?"], ["?", "1"], ["b", "2"], ["a", "4"]], dtype=object)
    encoder = TableEncoder(missing="?").fit(rows)
    assert encoder.columns_.share_missing.tolist() == [0.25, 0.25]
    assert encoder.transform(rows[:1]).tolist() == encoder.transform([["a", None]]).tolist()


@pytest.mark.parametrize("cells", [["1-5", "6-10", "11-12"], ["1/5", "4/5", "3/5"], ["12/24", "11/23", "1/20"]])
def test_ranges_ratings_and_halves_of_dates_are_categories(cells):
    assert plan_column(pd.Series(cells * 9), "x").kind == "category"


@pytest.mark.parametrize("cells", [["2024-05", "2023-11"], ["31.12.2024", "1.1.2024"], ["1/2/24", "3/4/24"]])
def test_whole_dates_and_months_are_dates(cells):
    assert plan_column(pd.Series(cells * 9), "x").kind == "date"


def test_cells_far_down_count_for_what_a_column_is():
    cells = [str(i) for i in range(6000)] + [f"x{i % 5}" for i in range(6000)]
    for column in (cells, cells[::-1]):
        assert plan_column(pd.Series(column), "code").kind == "category"


def test_cells_that_cannot_be_read_are_missing():
    columns = (
        TableEncoder()
        .fit(
            pd.DataFrame(
                {
                    "n": [*map(str, range(38)), "x", None],
                    "inf": [*np.arange(39.0), np.inf],
                    "day": ["2024-01-31"] * 38 + ["2024-02-28", "soon"],
                }
            )
        )
        .columns_
    )
    assert columns["taken_as"].tolist() == ["number", "number", "date"]
    assert columns["share_missing"].tolist() == [2 / 40, 1 / 40, 1 / 40]


def test_dates_are_what_the_clocks_of_their_zone_say():
    naive = pd.to_datetime(pd.Series(["2024-01-01 00:30", "2024-07-01 09:00"]))
    for zone in ("Asia/Tokyo", "Europe/Berlin"):
        assert read_dates(naive.dt.tz_localize(zone)).tolist() == naive.tolist()
    mixed = pd.Series(["2024-01-01 00:30+09:00", "2024-07-01 09:00+02:00"])
    assert read_dates(mixed).dt.hour.tolist() == [15, 7]


def test_names_to_leave_out_are_columns():
    table = pd.DataFrame({"label": ["a", "b"], "x": [1.0, 2.0]})
    with pytest.raises(ValueError, match="labels"):
        TableEncoder(leave_out=["labels"]).fit(table)
    assert TableEncoder(leave_out=["label"]).fit(table).get_feature_names_out().tolist() == ["x"]


def test_numbers_of_other_machines():
    table = pd.DataFrame({"x": np.array([1.5, 2.5, 4.0]), "c": ["a", "b", "a"]})
    other = table.assign(x=table["x"].to_numpy().astype(">f8"))
    encoder = TableEncoder().fit(other)
    np.testing.assert_array_equal(encoder.transform(table), TableEncoder().fit(table).transform(other))
    with pytest.raises(ValueError, match="Complex data not supported: column 'x'"):
        encoder.fit(table.assign(x=[1j, 2, 3]))


def test_signs_alone_are_no_text():
    table = pd.DataFrame({"t": [f"! ? {'-' * i} …" for i in range(1, 13)], "x": np.arange(12.0) ** 2})
    assert plan_column(table["t"], "t").kind != "text"
    assert np.isfinite(TableEncoder().fit_transform(table)).all()
