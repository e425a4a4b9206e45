"""The noise generators: laws, exact counts, label kinds, seeds and errors."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csr_matrix

from noisyflywheel import noise
from noisyflywheel.noise.instance import flip_law, truncated_normal
from noisyflywheel.noise.maps import CIFAR10_CLASSES, CIFAR100_SUPERCLASSES, cyclic_targets, named_targets

Y10 = np.repeat(np.arange(10), 400)


# transition matrices


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


# symmetric


def test_symmetric_changes_exactly_that_many_rows_when_the_true_class_is_excluded():
    noisy = noise.symmetric(Y10, 0.2, exclude_true=True, random_state=0)
    assert (noisy != Y10).sum() == 800


def test_symmetric_includes_the_true_class():
    noisy, info = noise.symmetric(Y10, 0.5, random_state=0, return_info=True)
    np.testing.assert_allclose(info.transition_matrix, 0.5 * np.eye(10) + 0.05)
    assert abs((noisy != Y10).mean() - 0.45) < 0.03
    np.testing.assert_array_equal(info.flipped, noisy != Y10)
    np.testing.assert_allclose(noise.transition_matrix(Y10, noisy), info.transition_matrix, atol=0.08)


def test_symmetric_law_without_the_true_class():
    _, info = noise.symmetric([0, 1, 2], 0.6, exclude_true=True, return_info=True)
    np.testing.assert_allclose(info.transition_matrix, [[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]])


@pytest.mark.parametrize("rate", [0, 1.0])
def test_symmetric_extreme_rates(rate):
    noisy = noise.symmetric(Y10, rate, exclude_true=True, random_state=1)
    assert (noisy != Y10).mean() == rate


# asymmetric


def test_asymmetric_default_is_the_next_class():
    noisy, info = noise.asymmetric(Y10, 0.4, random_state=0, return_info=True)
    flipped = noisy != Y10
    np.testing.assert_array_equal(noisy[flipped], (Y10[flipped] + 1) % 10)
    assert abs(flipped.mean() - 0.4) < 0.03
    np.testing.assert_allclose(info.transition_matrix[9], [0.4] + [0] * 8 + [0.6])


@pytest.mark.parametrize("y", [Y10, np.array(CIFAR10_CLASSES)[Y10]])
def test_asymmetric_cifar10(y):
    noisy, info = noise.asymmetric(y, 1.0, mapping="cifar10", random_state=0, return_info=True)
    codes = [list(info.classes).index(label) for label in noisy[::400]]
    assert codes == [0, 1, 0, 5, 7, 3, 6, 7, 8, 1]


def test_asymmetric_cifar10_on_a_subset_of_the_classes():
    noisy = noise.asymmetric(np.array([9, 3]), 1.0, mapping="cifar10")
    np.testing.assert_array_equal(noisy, [1, 5])


@pytest.mark.parametrize("mapping", ["cifar10", "cifar100", "cifar100_superclass"])
@pytest.mark.parametrize("named", [False, True])
def test_named_maps_do_not_depend_on_the_order_of_labels(mapping, named):
    names = np.arange(100) if mapping != "cifar10" else np.array(CIFAR10_CLASSES) if named else np.arange(10)
    expected = noise.asymmetric(names, 1.0, mapping=mapping)
    assert noise.asymmetric(names, 1.0, mapping=mapping, labels=names[::-1]).tolist() == expected.tolist()
    own = np.array([f"class {k}" for k in range(len(names))])[::-1]  # known by their places alone
    by_place = noise.asymmetric(own, 1.0, mapping=mapping, labels=own).tolist()
    numbers = noise.asymmetric(np.arange(len(own)), 1.0, mapping=mapping)
    assert by_place == own[numbers].tolist()


def test_asymmetric_cifar100():
    y = np.arange(100)
    blocks = noise.asymmetric(y, 1.0, mapping="cifar100")
    np.testing.assert_array_equal(blocks[:10], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5])
    inside = noise.asymmetric(y, 1.0, mapping="cifar100_superclass")
    assert inside[4] == 30 and inside[95] == 4 and inside[89] == 41


def test_superclasses_partition_the_fine_labels():
    table = np.array(CIFAR100_SUPERCLASSES)
    assert table.shape == (20, 5)
    np.testing.assert_array_equal(np.sort(table, axis=None), np.arange(100))
    np.testing.assert_array_equal(np.sort(cyclic_targets(table)), np.arange(100))


def test_asymmetric_user_map_never_flips_twice():
    noisy = noise.asymmetric(["a", "b", "c"], 1.0, mapping={"a": "b", "b": "a"})
    assert noisy.tolist() == ["b", "a", "c"]


def test_asymmetric_errors():
    with pytest.raises(ValueError, match="mapping must be one of"):
        noise.asymmetric(Y10, 0.1, mapping="mnist")
    with pytest.raises(ValueError, match="mapping must be one of"):
        named_targets("mnist", np.arange(10))
    with pytest.raises(ValueError, match="'cifar10' needs 10 classes, got 2"):
        noise.asymmetric([0, 1], 0.1, mapping="cifar10", labels=[0, 1])
    with pytest.raises(ValueError, match="not among the classes: \\['z'\\]"):
        noise.asymmetric(["a", "b"], 0.1, mapping={"a": "z"})
    with pytest.raises(TypeError, match="mapping must be None, a dict or a name, got list"):
        noise.asymmetric(["a", "b"], 0.1, mapping=[1])


# any matrix


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


# instance-dependent


def test_flip_law_by_hand():
    law = flip_law(np.array([[5.0, np.log(1.0), np.log(3.0)]]), 0, np.array([0.4]))
    np.testing.assert_allclose(law, [[0.6, 0.1, 0.3]])


def test_truncated_normal_stays_inside():
    q = truncated_normal(0.0, 0.1, 2000, np.random.default_rng(0))
    assert q.min() >= 0 and abs(q.mean() - 0.1 * np.sqrt(2 / np.pi)) < 0.01
    assert (truncated_normal(0.3, 0.0, 5, np.random.default_rng(0)) == 0.3).all()


@pytest.mark.parametrize("variant", ["part", "cores"])
def test_instance_dependent_rate_and_law(variant):
    X = np.random.default_rng(0).integers(0, 256, (4000, 4, 4, 3), dtype=np.uint8)
    noisy, info = noise.instance_dependent(X, Y10, 0.4, variant=variant, random_state=0, return_info=True)
    assert abs((noisy != Y10).mean() - 0.4) < 0.03
    np.testing.assert_allclose(info.transition_matrix.sum(axis=1), 1)
    np.testing.assert_allclose(noise.transition_matrix(Y10, noisy), info.transition_matrix, atol=0.1)


def test_instance_dependent_equal_rows_of_one_class_share_their_confusion():
    X = np.full((4000, 3), 5000.0)
    noisy = noise.instance_dependent(X, Y10, 0.5, random_state=0)
    for k in range(10):
        assert len(set(noisy[k == Y10])) == 2


def test_instance_dependent_in_blocks_is_the_same(monkeypatch):
    X = np.random.default_rng(0).normal(size=(4000, 5))
    whole = noise.instance_dependent(X, Y10, 0.4, random_state=3)
    monkeypatch.setattr("noisyflywheel.noise.instance._BLOCK_BYTES", 8 * 5 * 33)
    np.testing.assert_array_equal(whole, noise.instance_dependent(X, Y10, 0.4, random_state=3))


def test_instance_dependent_pairs_rows_of_one_index():
    index = [f"r{i}" for i in range(40)]
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), index=index)
    y = pd.Series(np.arange(40) % 3, index=index)
    noisy = noise.instance_dependent(X, y, 0.4, random_state=0)
    assert list(noisy.index) == index
    np.testing.assert_array_equal(noisy, noise.instance_dependent(X, y.to_numpy(), 0.4, random_state=0))
    for other in (y[::-1], y.reset_index(drop=True)):
        with pytest.raises(ValueError, match=r"X and y have different indices; align them first, as y.loc\[X.index\]"):
            noise.instance_dependent(X, other, 0.4, random_state=0)


@pytest.mark.parametrize("convert", [pd.DataFrame.copy, pd.DataFrame.convert_dtypes])
def test_instance_dependent_takes_frames_of_all_numbers(convert):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=40), "b": rng.integers(0, 9, 40), "c": rng.random(40) < 0.5})
    y = np.arange(40) % 3
    expected = noise.instance_dependent(X.astype(float).to_numpy(), y, 0.5, random_state=0)
    np.testing.assert_array_equal(noise.instance_dependent(convert(X), y, 0.5, random_state=0), expected)
    gone = convert(X.assign(b=X.b.astype("Int64").where(X.b > 3)))
    with pytest.raises(ValueError, match="X holds missing values"):
        noise.instance_dependent(gone, y, 0.5)
    with pytest.raises(ValueError, match="X must be numeric"):
        noise.instance_dependent(convert(X).assign(d="x"), y, 0.5)


def test_instance_dependent_takes_nullable_pixels_as_pixels():
    X = pd.DataFrame(np.random.default_rng(0).integers(0, 255, (40, 9)), dtype="UInt8")
    found = [noise.instance_dependent(x, np.arange(40) % 3, 0.5, random_state=0) for x in (X, X.to_numpy(np.uint8))]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("form", [csr_matrix, coo_array])
def test_instance_dependent_names_sparse_rows(form):
    with pytest.raises(TypeError, match="X is sparse"):
        noise.instance_dependent(form(np.eye(2)), [0, 1], 0.5)


def test_instance_dependent_errors():
    X = np.zeros((2, 3))
    with pytest.raises(ValueError, match="variant must be"):
        noise.instance_dependent(X, [0, 1], 0.1, variant="x")
    with pytest.raises(ValueError, match="X must have shape \\(3, ...\\), got \\(2, 3\\)"):
        noise.instance_dependent(X, [0, 1, 1], 0.1)
    with pytest.raises(ValueError, match="NaN or infinity"):
        noise.instance_dependent(X * np.nan, [0, 1], 0.1)
    with pytest.raises(ValueError, match="masked"):
        noise.instance_dependent(np.ma.masked_equal(np.eye(2), 1), [0, 1], 0.1)
    with pytest.raises(ValueError, match="numeric"):
        noise.instance_dependent(np.array([["a"], ["b"]]), [0, 1], 0.1)
    with pytest.raises(ValueError, match="rate_std"):
        noise.instance_dependent(X, [0, 1], 0.1, rate_std=-1)
    with pytest.raises(ValueError, match="rate_std must be in \\[0, 10\\], got 100000000.0"):
        noise.instance_dependent(X, [0, 1], 0.1, rate_std=1e8)
    with pytest.raises(ValueError, match="at least 2 classes"):
        noise.instance_dependent(X, [1, 1], 0.1)


# label kinds, seeds, errors of all


@pytest.mark.parametrize(
    "y",
    [
        np.array([3, 17, 3, 40] * 10),
        np.array([3, 17, 3, 40] * 10, dtype=np.uint8),
        np.array(["cat", "giraffe"] * 20),
        np.array(["cat", "giraffe"] * 20, dtype=object),
        np.array([True, False] * 20),
    ],
)
def test_arrays_keep_dtype_and_classes(y):
    before = y.copy()
    noisy = noise.symmetric(y, 0.9, random_state=0)
    assert noisy.dtype == y.dtype and set(noisy) <= set(y) and (noisy != y).any()
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("dtype", ["int64", "Int64", "str", "object", "category", "bool", "boolean"])
def test_series_keep_dtype_index_and_name(dtype):
    values = (
        [True, False] * 20 if dtype.startswith("bool") else ([4, 9] * 20 if "int" in dtype.lower() else ["a", "b"] * 20)
    )
    y = pd.Series(values, index=np.arange(40) * 2 + 5, name="label").astype(dtype)
    noisy = noise.symmetric(y, 0.5, exclude_true=True, random_state=0)
    assert noisy.dtype == y.dtype and noisy.name == "label"
    pd.testing.assert_index_equal(noisy.index, y.index)
    assert (noisy != y).sum() == 20


def test_categorical_and_list():
    noisy = noise.asymmetric(pd.Categorical(["a", "b", "a"]), 1.0)
    assert isinstance(noisy, pd.Categorical) and list(noisy) == ["b", "a", "b"]
    assert noise.asymmetric(["a", "b", "a"], 1.0).tolist() == ["b", "a", "b"]


def test_longer_names_from_labels_are_not_cut():
    noisy = noise.asymmetric(np.array(["a", "a"]), 1.0, labels=["a", "giraffe"])
    assert noisy.tolist() == ["giraffe", "giraffe"]


@pytest.mark.parametrize(
    "call",
    [
        lambda seed: noise.symmetric(Y10, 0.3, random_state=seed),
        lambda seed: noise.asymmetric(Y10, 0.3, random_state=seed),
        lambda seed: noise.from_matrix(Y10, np.full((10, 10), 0.1), random_state=seed),
        lambda seed: noise.instance_dependent(Y10[:, None] * 0.1, Y10, 0.3, random_state=seed),
    ],
)
def test_seeded_without_touching_the_global_state(call):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(call(0), call(0))
    assert (call(0) != call(1)).any()
    np.testing.assert_array_equal(call(np.random.default_rng(5)), call(5))
    np.testing.assert_array_equal(call(np.random.RandomState(5)), call(np.random.RandomState(5)))  # noqa: NPY002
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("rate", [-0.1, 1.1, np.nan, np.inf])
def test_rate_out_of_range(rate):
    with pytest.raises(ValueError, match="rate must be in \\[0, 1\\]"):
        noise.symmetric(Y10, rate)


@pytest.mark.parametrize("rate", ["0.1", None, True])
def test_rate_that_is_no_number(rate):
    with pytest.raises(TypeError, match="rate must be a number"):
        noise.asymmetric(Y10, rate)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], "y is empty"),
        ([[0, 1]], "y must be 1-D, got shape \\(1, 2\\)"),
        ([0.0, np.nan], "missing label in row 1"),
        (np.array(["a", None, "b"], dtype=object), "missing label in row 1"),
        (pd.Series(["a", "b", pd.NA], dtype="string"), "missing label in row 2"),
        ([1, 1], "at least 2 classes, got 1"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        noise.symmetric(y, 0.1)


def test_bad_class_lists():
    with pytest.raises(ValueError, match="not among the classes: \\[7\\]"):
        noise.symmetric([0, 7], 0.1, labels=[0, 1])
    with pytest.raises(ValueError, match="labels holds a class twice"):
        noise.symmetric([0, 1], 0.1, labels=[0, 1, 1])
    with pytest.raises(TypeError, match="mixed types"):
        noise.symmetric(np.array(["a", 1], dtype=object), 0.1)


@pytest.mark.parametrize("y", [[1, "1", 2], ("a", 2.5), [True, "True"], ["a", b"b"]])
def test_lists_of_several_types_are_refused(y):
    with pytest.raises(TypeError, match="labels of mixed types"):
        noise.symmetric(y, 0.0)
    with pytest.raises(TypeError, match="labels of mixed types"):
        noise.symmetric(["a", "b"], 0.0, labels=y)
    with pytest.raises(ValueError, match="missing label in row 0"):
        noise.symmetric([None, *y], 0.0)
    texts = ["a", np.str_("b"), "a"]
    assert noise.symmetric(texts, 0.0).tolist() == texts
