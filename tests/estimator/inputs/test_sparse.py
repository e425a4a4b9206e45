"""Sparse X: encoded categories are dense as they are, words are projected."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import cross_val_label_issues
from noisyflywheel.estimator.inputs.sparse import DENSE_COLUMNS, N_COMPONENTS, learn_projection

pytestmark = pytest.mark.usefixtures("quick_folds_of_module")

TOPICS = (("goal", "team", "coach", "match", "league"), ("vote", "party", "senate", "law", "minister"))


def quick(**params):
    params = {"n_warmup_epochs": 1, "n_cycles": 1, "n_folds": 1} | params
    return FlywheelClassifier(random_state=0, **params)


def documents(n=200, seed=0):
    """Texts of two topics with words of neither, their topics, and labels of which every fifth is wrong."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    texts = [" ".join([*rng.choice(TOPICS[k], 5), *(f"w{i}" for i in rng.integers(0, 3000, 4))]) for k in y]
    return texts, y, np.where(np.arange(n) % 5 == 0, 1 - y, y)


@pytest.fixture(scope="module")
def words():
    texts, y, given = documents()
    X = TfidfVectorizer().fit_transform(texts)
    assert X.shape[1] > DENSE_COLUMNS
    return X, y, given


@pytest.mark.parametrize("made", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.lil_matrix])
def test_few_columns_are_fitted_as_dense_ones(made):
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((90, 12)) * (rng.random((90, 12)) < 0.3)
    y = (dense[:, 0] + dense[:, 1] > 0).astype(int)
    ours, other = quick().fit(made(dense), y), quick().fit(dense, y)
    assert ours.input_projection_ is None
    assert_array_equal(ours.clean_proba_, other.clean_proba_)
    assert_array_equal(ours.predict_proba(made(dense)), other.predict_proba(dense))


def test_missing_cells_of_few_columns_are_as_in_dense_rows():
    dense = np.random.default_rng(0).standard_normal((60, 6))
    dense[::7, 2] = np.nan
    y = (dense[:, 0] > 0).astype(int)
    assert_array_equal(quick().fit(sparse.csr_array(dense), y).label_quality_, quick().fit(dense, y).label_quality_)


def test_words_are_projected_and_dense_rows_after_them(words):
    X, y, given = words
    clf = quick(n_warmup_epochs=10, n_cycles=5).fit(X, given)
    assert clf.n_features_in_ == X.shape[1]
    assert clf.input_projection_.shape == (X.shape[1], N_COMPONENTS)
    assert_allclose(clf.predict_proba(X.toarray()), clf.predict_proba(X), atol=1e-6)
    assert (clf.predict(X) == y).mean() > 0.85  # four fifths of the labels are right


def test_the_projection_holds_the_right_singular_vectors():
    rng = np.random.default_rng(0)
    low_rank = rng.standard_normal((50, 3)) * [9, 4, 1] @ np.linalg.qr(rng.standard_normal((700, 3)))[0].T
    found = learn_projection(sparse.csr_array(low_rank))
    right = np.linalg.svd(low_rank, full_matrices=False)[2][:3]
    assert found.shape == (700, 3)  # what lies beyond the rank is rounding
    assert_allclose(np.abs(right @ found), np.eye(3), atol=1e-4)


def test_rows_without_a_number_have_one_column():
    assert learn_projection(sparse.csr_array((20, 600))).shape == (600, 1)


def test_in_pipelines_and_under_cross_validation():
    texts, y, given = documents()
    model = make_pipeline(TfidfVectorizer(), quick(n_warmup_epochs=10, n_cycles=5))
    assert (cross_val_predict(model, texts, given, cv=2) == y).mean() > 0.8
    colours = np.random.default_rng(0).choice(list("rgbk"), (80, 2))
    model = make_pipeline(OneHotEncoder(), quick()).fit(colours, (colours[:, 0] == "r").astype(int))
    assert model.predict(colours).shape == (80,)


def test_a_cross_validated_audit(words):
    X, y, given = words
    issues = cross_val_label_issues(quick(n_warmup_epochs=10, n_cycles=5), X, given, cv=2)
    wrong = (given != y).astype(bool)
    assert issues["label_quality"][wrong].mean() < issues["label_quality"][~wrong].mean()


def test_a_saved_estimator_projects(words, tmp_path):
    X, _, given = words
    clf = quick().fit(X, given)
    clf.save(tmp_path / "saved")
    assert_array_equal(FlywheelClassifier.load(tmp_path / "saved").predict_proba(X), clf.predict_proba(X))


def test_a_fit_on_dense_rows_predicts_sparse_ones():
    dense = np.random.default_rng(0).standard_normal((60, 6))
    clf = quick().fit(dense, (dense[:, 0] > 0).astype(int))
    assert_array_equal(clf.predict(sparse.csr_array(dense)), clf.predict(dense))


def test_a_second_fit_on_dense_rows_forgets_the_projection(words):
    X, _, given = words
    clf = quick().fit(X, given)
    dense = np.random.default_rng(0).standard_normal((60, 6))
    assert clf.fit(dense, (dense[:, 0] > 0).astype(int)).input_projection_ is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_words_that_are_no_numbers_are_refused(words, bad):
    X = words[0].tocsr(copy=True)
    X.data[3] = bad
    with pytest.raises(ValueError, match="contains (NaN|infinity)"):
        quick().fit(X, words[2])
    with pytest.raises(ValueError, match="contains (NaN|infinity)"):
        quick().fit(words[0], words[2]).predict(X)


def test_another_number_of_columns_is_refused(words):
    X, _, given = words
    with pytest.raises(ValueError, match="features"):
        quick().fit(X, given).predict(X[:, :-1])


def test_a_dataset_after_words_is_refused(words):
    X, _, given = words
    clf = quick().fit(X, given)
    with pytest.raises(TypeError, match="TensorDataset, but the fit was on wide sparse rows"):
        clf.predict(TensorDataset(torch.zeros(3, X.shape[1])))
