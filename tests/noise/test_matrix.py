"""Transition matrices: measured, checked, drawn from."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from noisyflywheel import noise


def test_transition_matrix_by_hand():
    T = noise.transition_matrix(["a", "a", "a", "a", "b", "b"], ["a", "a", "b", "c", "b", "a"])
    np.testing.assert_allclose(T, [[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])


def test_transition_matrix_follows_labels():
    T = noise.transition_matrix([1, 5], [5, 5], labels=[5, 1])
    np.testing.assert_array_equal(T, [[1, 0], [1, 0]])


def test_transition_matrix_refuses_bad_columns():
    with pytest.raises(ValueError, match="y_true has 2 rows, y_noisy 3"):
        noise.transition_matrix([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="y_noisy holds labels that are not among the classes: \\[2\\]"):
        noise.transition_matrix([0, 1], [0, 2], labels=[0, 1])
    with pytest.raises(ValueError, match="different indices"):
        noise.transition_matrix(pd.Series([0, 1]), pd.Series([0, 1], index=[1, 0]))


def test_from_matrix_draws_from_the_rows():
    T = np.array([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])
    y = np.repeat([0, 1, 2], 5000)
    noisy, info = noise.from_matrix(y, T, random_state=0, return_info=True)
    np.testing.assert_allclose(noise.transition_matrix(y, noisy), T, atol=0.03)
    np.testing.assert_array_equal(noise.transition_matrix(y, noisy) == 0, T == 0)
    np.testing.assert_array_equal(info.transition_matrix, T)


@pytest.mark.parametrize(
    ("T", "message"),
    [
        ([[1.0]], "shape \\(2, 2\\) for 2 classes, got \\(1, 1\\)"),
        ([[0.5, 0.4], [0, 1]], "row 0 sums to 0.9"),
        ([[1, 0], [1.5, -0.5]], "row 1 does not"),
        ([[1, 0], [np.nan, 1]], "row 1 does not"),
    ],
)
def test_from_matrix_refuses(T, message):
    with pytest.raises(ValueError, match=message):
        noise.from_matrix([0, 1], T)


@pytest.mark.parametrize("classes", [["a", "b", "c"], [3, 1, 2], [0, 1, 2]])
def test_from_matrix_goes_by_the_names_of_rows_and_columns(classes):
    T = np.array([[0.7, 0.3, 0.0], [0.0, 0.9, 0.1], [0.2, 0.3, 0.5]])
    y = np.repeat(classes, 10)
    frame = pd.DataFrame(T, index=classes, columns=classes)
    expected = noise.from_matrix(y, T, labels=classes, random_state=0)
    for named in (frame, frame.iloc[[2, 0, 1], [1, 2, 0]], frame.iloc[::-1]):
        np.testing.assert_array_equal(noise.from_matrix(y, named, labels=classes, random_state=0), expected)
    _, info = noise.from_matrix(y, frame.iloc[::-1, ::-1], return_info=True)
    np.testing.assert_array_equal(info.transition_matrix, frame.sort_index().sort_index(axis=1))


@pytest.mark.parametrize("classes", [[0, 1, 2], [0.0, 1.0, 2.0], [False, True], pd.date_range("2024-01-01", periods=3)])
def test_from_matrix_knows_classes_as_text(classes):
    """As a file has them; whole numbers with a point or without."""
    T = np.array([[0.7, 0.3, 0.0], [0.0, 0.9, 0.1], [0.2, 0.3, 0.5]])[: len(classes), : len(classes)]
    T = T / T.sum(axis=1, keepdims=True)
    names = pd.Index(classes).astype(str)
    y = pd.Series(classes).repeat(10)
    expected = noise.from_matrix(y, T, random_state=0).tolist()
    for texts in (names, names.str.removesuffix(".0"), names + ".0" if y.dtype.kind == "i" else names):
        frame = pd.DataFrame(T, index=texts, columns=texts)
        for named in (frame.iloc[::-1, ::-1], frame.iloc[::-1], frame.set_axis(classes)):
            assert noise.from_matrix(y, named, random_state=0).tolist() == expected


def test_from_matrix_names_a_sparse_matrix():
    with pytest.raises(TypeError, match=r"T is sparse; pass a dense array, as T\.toarray\(\)"):
        noise.from_matrix([0, 1], csr_matrix(np.eye(2)))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("others", [None, ["x", "y", "z"], ["a", "b", "x"]])
def test_from_matrix_goes_by_position_where_no_names_are_given(axis, others):
    T, classes = np.array([[0.7, 0.3, 0.0], [0.0, 0.9, 0.1], [0.2, 0.3, 0.5]]), ["a", "b", "c"]
    y = np.repeat(classes, 10)
    expected = noise.from_matrix(y, T, random_state=0)
    plain = pd.DataFrame(T, index=others, columns=others)
    for found in (plain, plain.set_axis(classes, axis=axis)):
        np.testing.assert_array_equal(noise.from_matrix(y, found, random_state=0), expected)
    with pytest.raises(ValueError, match=rf"the {('rows', 'columns')[axis]} of T are named .* name both"):
        noise.from_matrix(y, plain.set_axis(["c", "a", "b"], axis=axis))
    backwards = noise.from_matrix([2, 1, 0] * 5, pd.DataFrame(T), labels=[2, 1, 0], random_state=0)
    assert backwards.tolist() == noise.from_matrix([2, 1, 0] * 5, T, labels=[2, 1, 0], random_state=0).tolist()
