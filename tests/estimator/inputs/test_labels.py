"""Advice about labels of other kinds than scikit-learn takes can be followed."""

import enum
import re
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from noisyflywheel.estimator.inputs.labels import read_labels

X = np.zeros((6, 2))
Kind = enum.Enum("Kind", "A B")
Number = enum.IntEnum("Number", "A B")
CLASSES = {
    "Decimal": [Decimal("1.5"), Decimal(2)],
    "date": [date(2024, 1, 1), date(2024, 1, 2)],
    "Kind": list(Kind),
    "Number": list(Number),
    "Interval": list(pd.interval_range(0, 2)),
    "Period": list(pd.period_range("2024-01", periods=2, freq="M")),
    "int": [2**70, -(2**60)],
    "whole": [7, 2**63 - 1],
    "bool": [True, False],
    "float": [1.0, 2.0],
    "several": [1, Decimal(2)],
}


def as_object(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize("kind", [list, tuple, as_object, lambda values: pd.Series(values, dtype=object)])
@pytest.mark.parametrize("values", CLASSES.values(), ids=CLASSES)
def test_what_the_advice_says_is_taken(values, kind):
    y = kind(values * 3)
    try:
        read_labels(X, y)
    except ValueError as error:
        advice = re.search(r"(?:pass|as) (y\.astype\(.*?\)|\[.*\])", str(error))[1]
        labels, classes, _ = read_labels(X, eval(advice, {"y": y}))  # noqa: S307 - the advice itself
        assert len(classes) == 2
        assert len(labels) == 6
    else:
        assert kind in (list, tuple)  # numpy's own types


def test_whole_numbers_beyond_64_bits_are_named():
    with pytest.raises(ValueError, match=r"labels of type int, some beyond 64 bits: pass \[str\(label\) for"):
        read_labels(X, [2**70, 1] * 3)
    with pytest.raises(ValueError, match=r"labels of type int, some beyond 64 bits: pass y.astype\(str\)"):
        read_labels(X, as_object([2**70, 1] * 3))
