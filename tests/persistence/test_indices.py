"""Indices of every kind through a file: equal, of the same type, dtype and frequency."""

import datetime
import decimal
import uuid

import numpy as np
import pandas as pd
import pytest
import torch

from noisyflywheel.persistence import load_checkpoint, save_checkpoint
from noisyflywheel.persistence.indices import DECODERS, parts_of_index

DAYS = pd.date_range("2020-03-28", periods=4)
STRINGS = [pd.Index(["a", None, "é"], dtype=dtype) for dtype in ("string", "string[python]", "object")]
STRINGS += [pd.Index(["a", "b"], dtype="string[pyarrow]"), pd.Index(["a", "b"], dtype=object), pd.Index(["a", "b"])]

INDICES = [
    pd.RangeIndex(3, 9, 2, name="n"),
    pd.Index([3, 1], name=("a", 1)),
    pd.Index([3, 1], dtype="int8"),
    pd.Index([3, 1], dtype="uint64"),
    pd.Index([0.5, np.nan], dtype="float32"),
    pd.Index([True, False]),
    pd.Index([1 + 2j]),
    *(pd.Index([1, None, 0], dtype=dtype) for dtype in ("Int64", "UInt8", "Float64", "boolean")),
    *STRINGS,
    pd.CategoricalIndex(["b", None, "a"], categories=["c", "b", "a"], ordered=True, name="c"),
    pd.CategoricalIndex(pd.Categorical(DAYS)),
    pd.CategoricalIndex(pd.interval_range(0, 3)),
    DAYS,
    pd.DatetimeIndex(["2020-01-01", None]),
    pd.DatetimeIndex(["2020-01-01"]).as_unit("s"),
    pd.date_range("2020-03-28", periods=4, tz="Europe/Berlin", name="t"),
    pd.date_range("2020-03-28", periods=4, freq="h", tz="UTC"),
    pd.date_range("2020-03-28", periods=4, tz=datetime.timezone(datetime.timedelta(hours=1))),
    pd.date_range("2020-03-28", periods=4, freq="W-WED"),
    pd.DatetimeIndex(["2020-01-01", "2020-01-05"], tz="US/Eastern"),
    pd.timedelta_range("1h", periods=3, freq="90min"),
    pd.TimedeltaIndex(["1h", None]),
    pd.period_range("2020", periods=3, freq="D", name="p"),
    pd.PeriodIndex(["2020Q1", None], freq="Q-NOV"),
    pd.interval_range(0, 3, closed="both"),
    pd.IntervalIndex.from_breaks([0.5, 1.5, 2.5], closed="left"),
    pd.interval_range(pd.Timestamp("2020-01-01", tz="UTC"), periods=3),
    pd.Index(DAYS.date),
    pd.Index([datetime.datetime(2020, 1, 1, 5), None, datetime.time(3)], dtype=object),
    pd.Index([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)], dtype=object),
    pd.Index([decimal.Decimal("1.10"), decimal.Decimal("NaN"), decimal.Decimal("3")]),
    pd.Index([uuid.UUID(int=5), 1, 2.5, True, None, np.int64(3), pd.NA, pd.NaT], dtype=object),
    pd.Index([], dtype=object),
    pd.MultiIndex.from_arrays([["a", "b"], [1, 2]], names=["l", None]),
    pd.MultiIndex.from_arrays([DAYS.date, pd.Categorical(list("abca")), pd.array([1, 2, 3, 4], dtype="Int8")]),
]


@pytest.mark.parametrize("index", INDICES, ids=lambda index: f"{type(index).__name__} {index.dtype}")
def test_indices_come_back_as_they_were(tmp_path, index):
    save_checkpoint(tmp_path, {"index": index})
    found = load_checkpoint(tmp_path)["index"]
    pd.testing.assert_index_equal(found, index, exact=True)
    assert found.equals(index) and found.names == index.names
    assert getattr(found, "freq", None) == getattr(index, "freq", None)
    if index.dtype == object:
        assert [type(item) for item in found] == [int if isinstance(x, np.int64) else type(x) for x in index]


def test_arrow_comes_back_where_its_type_has_a_plain_name(tmp_path):
    pytest.importorskip("pyarrow")
    for values, dtype in (([1, None], "int64[pyarrow]"), (["a", None], "large_string[pyarrow]")):
        index = pd.Index(values, dtype=dtype)
        save_checkpoint(tmp_path, {"index": index})
        pd.testing.assert_index_equal(load_checkpoint(tmp_path)["index"], index, exact=True)


def test_times_whose_frequency_no_name_makes_come_back_without(tmp_path):
    holidays = pd.offsets.CustomBusinessDay(holidays=["2020-01-01"])
    index = pd.date_range("2019-12-30", periods=3, freq=holidays)
    save_checkpoint(tmp_path, {"index": index})
    found = load_checkpoint(tmp_path)["index"]
    assert found.equals(index) and found.freq is None


@pytest.mark.parametrize("item", [frozenset("a"), ("a", 1), object(), b"a"], ids=["set", "tuple", "object", "bytes"])
def test_what_cannot_be_stored_says_what_to_do(item):
    index = pd.Index([item, 1], tupleize_cols=False)
    with pytest.raises(
        TypeError, match=r"index of X or y \(state\._index\) is of dtype object.*reset_index\(drop=True"
    ):
        parts_of_index(index, "state._index")
    with pytest.raises(TypeError, match="by pickle or joblib"):
        parts_of_index(pd.MultiIndex.from_arrays([index, index]).get_level_values(0), "state._index")


def test_indices_of_files_of_earlier_versions_are_read():
    times = DAYS.tz_localize("UTC").tz_convert(None).to_numpy()
    assert DECODERS["index"](np.array([1, 2]), ["n"]).equals(pd.Index([1, 2]))
    assert DECODERS["range"](0, 4, 1, [None]).equals(pd.RangeIndex(4))
    assert DECODERS["times"](times, "Europe/Berlin", [None]).equals(DAYS.tz_localize("UTC").tz_convert("Europe/Berlin"))
    assert DECODERS["levels"]([pd.Index([1]), pd.Index(["a"])], [None, "b"]).names == [None, "b"]


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("periods", [np.array([1]), "nothing", [None]]),
        ("categories", [np.array([7]), pd.Index(["a"]), False, [None]]),
        ("nullable", [np.array([1]), np.array([True, False]), "Int64", [None]]),
        ("steps", [np.array(["2020-01-01", "2021-01-01"], "M8[ns]"), None, "D", [None]]),
        ("objects_of_index", [[("os.system", "ls")], [None]]),
        ("arrow", [[1], "os.system", [None]]),
        ("intervals", [torch.zeros(2), torch.zeros(2), "both", [None]]),
    ],
)
def test_parts_that_make_no_index_are_refused(kind, parts):
    with pytest.raises((KeyError, TypeError, ValueError, IndexError, AttributeError)):
        DECODERS[kind](*parts)
