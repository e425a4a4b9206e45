"""DataFrames with categories and missing cells."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.auto.defaults import choose_n_folds, share_of_flags

pytestmark = pytest.mark.usefixtures("quick_folds_of_module")


def table(n=120, seed=0):
    """The class is decided by a category, and by a number where that is missing."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    kind = np.where(y == 1, "red", "blue").astype(object)
    kind[rng.random(n) < 0.3] = None
    size = y + rng.normal(scale=0.3, size=n)
    size[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame({"kind": kind, "size": size}, index=np.arange(n) + 7), y


@pytest.fixture(scope="module")
def fitted():
    X, y = table()
    given = y.copy()
    given[:12] = 1 - given[:12]
    return FlywheelClassifier(random_state=0, n_cycles=4).fit(X, given), X, y, given


def test_categories_and_missing_cells_are_learnt_from(fitted):
    clf, X, y, given = fitted
    new, expected = table(seed=1)
    assert clf.score(new, expected) > 0.9
    assert clf.n_features_in_ == 2 and clf.feature_names_in_.tolist() == ["kind", "size"]
    assert clf.encoder_.get_feature_names_out().tolist() == [
        "size", "missingindicator_size", "kind_blue", "kind_red", "kind_(missing)",
    ]  # fmt: skip
    issues = clf.get_label_issues()
    assert issues.index.equals(X.index) and issues["is_label_issue"].iloc[:12].sum() >= 8


def test_pickled_and_cloned(fitted):
    clf, X, *_ = fitted
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), clf.predict_proba(X))
    assert not hasattr(clone(clf), "encoder_")


def test_rows_are_encoded_as_in_fit_or_refused(fitted):
    clf, X, *_ = fitted
    with pytest.raises(TypeError, match="X is a ndarray, but the fit was on a pandas DataFrame"):
        clf.predict(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(X.rename(columns={"size": "weight"}))
    whole = X[X.notna().all(axis=1)]
    np.testing.assert_array_equal(clf.predict(whole), clf.predict(X)[X.notna().all(axis=1)])


def test_a_model_with_an_encoder_is_pickled_not_saved(fitted, tmp_path):
    clf, *_ = fitted
    with pytest.raises(TypeError, match="^encoder_ is a TableEncoder, which cannot be stored: .* pickle or joblib"):
        clf.save(tmp_path / "model")


def test_numbers_alone_are_taken_as_they_are():
    X, y = table()
    X = X[["size"]].fillna(0.5)
    frame = FlywheelClassifier(random_state=0, n_warmup_epochs=1, n_cycles=1).fit(X, y)
    array = FlywheelClassifier(random_state=0, n_warmup_epochs=1, n_cycles=1).fit(X.to_numpy(), y)
    assert frame.encoder_ is None
    np.testing.assert_array_equal(frame.predict_proba(X), array.predict_proba(X.to_numpy()))
    gaps = X.where(X > 0.5)
    np.testing.assert_array_equal(frame.predict_proba(gaps), frame.predict_proba(gaps.fillna(X.median())))


def test_a_second_fit_forgets_the_encoder(fitted):
    X, y = table()
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1).fit(X, y)
    assert clf.encoder_ is not None
    assert clf.fit(X[["size"]].fillna(0.5), y).encoder_ is None


def test_too_few_rows():
    with pytest.raises(ValueError, match="minimum of 2"):
        FlywheelClassifier().fit(table(1)[0], [0])


def test_flags_make_a_table():
    rng = torch.Generator().manual_seed(0)
    embedding = torch.randn(200, 80, generator=rng)
    params = FlywheelClassifier().get_params(deep=False)
    assert choose_n_folds(params, embedding, 200)[0] == 1
    assert choose_n_folds(params, embedding, 200, is_table=True)[0] == 5
    flags = embedding.clone()
    flags[:, :22] = (flags[:, :22] > 0).float() * 3 - 1  # scaled, as a StandardScaler leaves them
    assert share_of_flags(flags) == pytest.approx(22 / 80)
    assert choose_n_folds(params, flags, 200)[0] == 5
    assert choose_n_folds(params, flags[:, 4:], 200)[0] == 1  # 18 of 76


@pytest.mark.parametrize(
    "column", [pd.array([None, *range(59)], dtype="Int64"), pd.date_range("2020", periods=60), ["x", "y", "z"] * 20]
)
def test_columns_of_other_kinds_are_read(column):
    X = pd.DataFrame({"number": np.arange(60.0) ** 2, "other": column})
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0).fit(X, np.arange(60) % 2)
    assert clf.predict_proba(X).shape == (60, 2)
    columns = clf.input_features_["column"].nunique() if clf.encoder_ is None else len(clf.encoder_.columns_)
    assert columns == 2


@pytest.mark.parametrize("dtype", [float, "Float32", object])
def test_an_infinite_cell_is_refused(fitted, dtype):
    clf, X, *_ = fitted
    X = X.assign(size=X["size"].where(X["size"] < 1, np.inf).astype(dtype))
    for call in (lambda: clf.predict(X), lambda: clone(clf).fit(X, np.arange(120) % 2)):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            call()


def test_complex_cells_are_refused(fitted):
    clf, X, *_ = fitted
    X = X.assign(size=X["size"] + 1j)
    for call in (lambda: clf.predict(X), lambda: clone(clf).fit(X, np.arange(120) % 2)):
        with pytest.raises(ValueError, match="Complex data not supported: column 'size' of X"):
            call()


@pytest.mark.parametrize("columns", [["kind", "size"], ["size"]])
def test_what_scikit_learn_is_set_to_give_changes_nothing(columns):
    """Encoded rows were a DataFrame, and no fit came about."""
    X, y = table(60)
    X = X[columns]
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0)
    expected = clf.fit(X, y).predict_proba(X)
    with config_context(transform_output="pandas"):
        np.testing.assert_array_equal(clf.predict_proba(X), expected)
        np.testing.assert_array_equal(clone(clf).fit(X, y).predict_proba(X), expected)
