"""Tables of polars and pyarrow: their columns count by name and kind, as those of pandas do."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import TableEncoder
from noisyflywheel.data.frames import has_other_kinds, in_pandas, library_of

RNG = np.random.default_rng(0)
SIZE = RNG.normal(size=60)
Y = (SIZE > 0).astype(int)
TABLE = pd.DataFrame(
    {"size": SIZE, "noise": RNG.normal(size=60), "color": np.where(RNG.random(60) < 0.5, "red", "blue")}
)


def of_library(name):
    module = pytest.importorskip(name)
    return module.from_pandas if name == "polars" else module.Table.from_pandas


LIBRARIES = pytest.mark.parametrize("library", ["pyarrow", "polars"])


@LIBRARIES
def test_which_tables_are_converted(library):
    made = of_library(library)(TABLE)
    assert library_of(made) == library
    pd.testing.assert_frame_equal(in_pandas(made), TABLE, check_dtype=False)
    for other in (TABLE, SIZE, [[1.0]], "text", {"a": 1}):
        assert library_of(other) is None and in_pandas(other) is other


def test_columns_that_are_no_numbers_are_seen():
    assert has_other_kinds(TABLE) and not has_other_kinds(TABLE[["size", "noise"]]) and not has_other_kinds(SIZE)
    made = of_library("polars")(TABLE)
    assert has_other_kinds(made) and not has_other_kinds(made[["size", "noise"]])


@LIBRARIES
def test_an_encoder_knows_their_columns_by_name(library):
    make = of_library(library)
    model = make_pipeline(TableEncoder(features=["size", "color"]), LogisticRegression()).fit(make(TABLE), Y)
    assert model[0].feature_names_in_.tolist() == ["size", "noise", "color"]
    expected = make_pipeline(TableEncoder(features=["size", "color"]), LogisticRegression()).fit(TABLE, Y)
    other_order = TABLE[["color", "noise", "size"]]
    for X in (make(TABLE), make(other_order), TABLE):
        np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(TABLE), rtol=1e-6)
    np.testing.assert_allclose(expected.predict_proba(make(other_order)), expected.predict_proba(TABLE), rtol=1e-6)


def test_a_fit_encodes_those_of_polars_as_those_of_pandas():
    make = of_library("polars")
    clf = FlywheelClassifier(n_cycles=1, random_state=0).fit(make(TABLE), Y)
    same = FlywheelClassifier(n_cycles=1, random_state=0).fit(TABLE, Y)
    assert clf.feature_names_in_.tolist() == list(TABLE.columns)
    np.testing.assert_array_equal(clf.label_quality_, same.label_quality_)
    np.testing.assert_array_equal(clf.predict_proba(TABLE), same.predict_proba(make(TABLE)))
    arrow = of_library("pyarrow")(TABLE)
    np.testing.assert_array_equal(clf.predict_proba(arrow), same.predict_proba(TABLE))
    with pytest.raises(TypeError, match="the fit was on a pandas DataFrame whose columns had to be encoded"):
        clf.predict(SIZE[:, None])


def test_a_library_that_needs_another_one_is_named():
    class Table:
        columns = ["a"]

        def to_pandas(self):
            raise ModuleNotFoundError("pyarrow is required")

    Table.__module__ = "polars.dataframe"
    with pytest.raises(ImportError, match="X is a polars table; to convert it: pyarrow is required"):
        in_pandas(Table())
