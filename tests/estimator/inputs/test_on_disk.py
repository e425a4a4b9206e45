"""Rows on disk give what rows in memory give, to the last bit."""

import importlib
import sys
import tempfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_wine

from noisyflywheel import FlywheelClassifier
from noisyflywheel.data import lazy
from noisyflywheel.data.arrow import table_rows
from noisyflywheel.data.lazy import LazyRows, OnDisk, lazy_rows
from noisyflywheel.noise import symmetric

pytestmark = pytest.mark.usefixtures("quick_folds_of_module")


def hub():
    """Hugging Face's package; where it is not installed, ``datasets`` is the folder of tests of that name."""
    pytest.importorskip("datasets.arrow_dataset")
    return importlib.import_module("datasets")


WINE, TRUE = load_wine(return_X_y=True)
WINE = WINE + np.array([1e9] + [0.0] * 12)  # the first column loses its digits in float32
Y = symmetric(TRUE, 0.2, random_state=0)


def fit(X, **params):
    return FlywheelClassifier(n_warmup_epochs=2, n_cycles=2, random_state=0, **params).fit(X, Y)


@pytest.fixture(scope="module")
def in_memory():
    return fit(WINE)


def memmap(folder, x):
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r")


def h5(folder, x):
    h5py = pytest.importorskip("h5py")
    return h5py.File(folder / "x.h5", "w").create_dataset("x", data=x, chunks=(7, *x.shape[1:]), compression="gzip")


def zarr(folder, x):
    array = pytest.importorskip("zarr").create_array(
        str(folder / "x.zarr"), shape=x.shape, dtype=x.dtype, chunks=(7, *x.shape[1:])
    )
    array[:] = x
    return array


def arrow_columns(folder, x):
    return pytest.importorskip("pyarrow").table({f"c{i}": x[:, i] for i in range(x.shape[1])})


def arrow_lists(folder, x):
    pa = pytest.importorskip("pyarrow")
    return pa.table({"embedding": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])})


def parquet(folder, x):
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(arrow_columns(folder, x), folder / "x.parquet", row_group_size=50)
    return pq.ParquetFile(folder / "x.parquet")


def hub_columns(folder, x):
    return hub().Dataset.from_dict({f"c{i}": x[:, i] for i in range(x.shape[1])})


def hub_lists(folder, x):
    return hub().Dataset.from_dict({"embedding": list(x)})


KINDS = [memmap, h5, zarr, arrow_columns, arrow_lists, parquet, hub_columns, hub_lists]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_fit_from_disk_equals_one_from_memory(make, tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(lazy, "COPIED_BYTES", 0)
    monkeypatch.setattr(lazy, "BLOCK_NUMBERS", 13 * 20)
    X = make(tmp_path, WINE)
    assert isinstance(table_rows(X) or lazy_rows(X), LazyRows)
    clf = fit(X)
    np.testing.assert_array_equal(clf.clean_proba_, in_memory.clean_proba_)
    np.testing.assert_array_equal(clf.predict_proba(X), in_memory.predict_proba(WINE))
    assert clf.input_offset_[0] == in_memory.input_offset_[0] > 0 and clf.n_features_in_ == 13
    assert hasattr(clf, "feature_names_in_") == (make in (arrow_columns, parquet, hub_columns))


@pytest.mark.parametrize("make", [arrow_columns, arrow_lists, hub_columns, hub_lists], ids=lambda make: make.__name__)
def test_tables_without_rows_are_named(make, tmp_path, in_memory):
    """As where a filter left none: they were taken for rows in memory."""
    X = make(tmp_path, WINE)
    none = X.slice(0, 0) if hasattr(X, "slice") else X.select([])
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\) while a minimum of 1"):
        in_memory.predict(none)
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\) while a minimum of 2"):
        FlywheelClassifier().fit(none, Y[:0])


def test_columns_keep_their_names(tmp_path):
    X = arrow_columns(tmp_path, WINE)
    clf = fit(X)
    assert list(clf.feature_names_in_) == [f"c{i}" for i in range(13)]
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(X.select([f"c{i}" for i in (1, 0, *range(2, 13))]))


@pytest.mark.parametrize("make", [memmap, h5, zarr], ids=lambda make: make.__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, ">f4"])
def test_pictures_on_disk(make, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "COPIED_BYTES", 0)
    digits = load_digits()
    images, given = digits.images[:150].astype(dtype), digits.target[:150]
    params = {"n_warmup_epochs": 1, "n_cycles": 1, "random_state": 0}
    found, expected = (FlywheelClassifier(**params).fit(X, given) for X in (make(tmp_path, images), images))
    np.testing.assert_allclose(found.clean_proba_, expected.clean_proba_, atol=1e-5)


def test_pictures_on_disk_may_have_their_channels_elsewhere_than_in_fit(tmp_path):
    images = load_digits().images[:60]
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0).fit(images, np.arange(60) % 2)
    np.testing.assert_array_equal(clf.predict(h5(tmp_path, images[:, None])), clf.predict(images))


def test_rows_on_disk_are_no_pictures(tmp_path):
    images = load_digits().images[:60]
    clf = FlywheelClassifier(views=None, n_warmup_epochs=1, n_cycles=1, random_state=0).fit(images, np.arange(60) % 2)
    with pytest.raises(ValueError, match=r"rows of shape \(8,\), but was fitted with rows of shape \(1, 8, 8\)"):
        clf.predict(h5(tmp_path, images[:, 0]))


def test_pictures_of_a_hugging_face_dataset_are_decoded_one_by_one():
    datasets = hub()
    images = load_digits().images[:120].astype(np.uint8)
    names = datasets.ClassLabel(names=list("0123456789"))
    features = datasets.Features({"image": datasets.Image(), "label": names})
    X = datasets.Dataset.from_dict({"image": list(images), "label": [0] * 120}, features=features)
    rows = table_rows(X)
    assert len(rows) == 120
    np.testing.assert_array_equal(rows[7], images[7])


def test_a_transform_that_takes_the_pictures_of_a_hugging_face_dataset_away_is_named():
    """As most do that prepare for a model of the hub: the error was a KeyError."""
    pictures = [Image.fromarray(np.full((4, 4), i, np.uint8)) for i in range(3)]
    X = hub().Dataset.from_dict({"image": pictures}, features=hub().Features({"image": hub().Image()}))
    inverted = table_rows(X.with_transform(lambda rows: {"image": [255 - np.asarray(x) for x in rows["image"]]}))
    assert (inverted[1] == 254).all()
    renamed = X.with_transform(lambda rows: {"pixel_values": [np.asarray(x) for x in rows["image"]]})
    with pytest.raises(TypeError, match=r"the transform of X \(set_transform\) returns no 'image': keep that column"):
        table_rows(renamed)[1]


def test_pictures_with_a_palette_of_a_hugging_face_dataset_have_its_colours():
    datasets = hub()
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    features = datasets.Features({"image": datasets.Image()})
    rows = table_rows(datasets.Dataset.from_dict({"image": [picture]}, features=features))
    assert rows[0][7, 7].tolist() == [200, 100, 50]


def test_small_maps_and_maps_that_a_tensor_can_share_are_no_lazy_rows(tmp_path, monkeypatch):
    assert lazy_rows(memmap(tmp_path, WINE)) is None
    monkeypatch.setattr(lazy, "COPIED_BYTES", 0)
    assert lazy_rows(memmap(tmp_path, WINE)) is not None
    assert lazy_rows(memmap(tmp_path, WINE.astype(np.float32))) is None
    assert lazy_rows(memmap(tmp_path, np.zeros((5, 4, 4), np.uint8))) is None
    assert lazy_rows(WINE) is None and lazy_rows(pd.DataFrame(WINE)) is None and table_rows(pd.DataFrame(WINE)) is None


@pytest.mark.parametrize("make", [h5, arrow_columns], ids=lambda make: make.__name__)
def test_numbers_that_cannot_be_are_found_before_any_training(make, tmp_path):
    for value, message in ((np.nan, "Input X contains NaN"), (1e300, "Input X contains infinity or a value too large")):
        x = WINE.copy()
        x[170, 3] = value
        folder = tmp_path / str(value)
        folder.mkdir()
        with pytest.raises(ValueError, match=message):
            fit(make(folder, x))


def test_numbers_that_cannot_be_are_named_in_prediction(tmp_path, in_memory):
    x = WINE.copy()
    x[170, 3] = np.inf
    with pytest.raises(ValueError, match="row 170 of X holds NaN"):
        in_memory.predict(h5(tmp_path, x))
    with pytest.raises(ValueError, match="X has 12 features"):
        in_memory.predict(arrow_lists(tmp_path, x[:, 1:]))


def test_columns_that_are_no_numbers_are_named():
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match="column 'b' of X holds string, no numbers"):
        fit(pa.table({"a": [1.0] * len(Y), "b": ["x"] * len(Y)}))
    with pytest.raises(ValueError, match="column 'e' of X holds lists of different lengths"):
        fit(pa.table({"e": [[1.0, 2.0]] * (len(Y) - 1) + [[1.0]]}))
    with pytest.raises(TypeError, match=r"column 'c' of X holds dictionary<.*, no numbers"):
        fit(pa.table({"a": [1.0] * len(Y), "c": pa.array(["x"] * len(Y)).dictionary_encode()}))
    with pytest.raises(TypeError, match=r"column 't' of X holds extension<.*, no numbers"):
        fit(pa.table({"t": pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((len(Y), 2, 2)))}))
    with pytest.raises(ValueError, match="X has no columns of numbers"):
        fit(pa.table({}))
    datasets = hub()
    with pytest.raises(TypeError, match=r"column 't' of X holds string"):
        fit(datasets.Dataset.from_dict({"t": ["x"] * len(Y)}))


def test_columns_that_the_format_of_a_hugging_face_dataset_hides_are_no_features():
    """Labels as plain numbers became a feature."""
    X = hub().Dataset.from_dict({"a": [0.5, 1.5], "label": [0, 1]})
    assert table_rows(X.with_format("numpy", columns=["a"])).array.names == ["a"]
    shown = X.with_format("numpy", columns=["a"], output_all_columns=True)
    assert table_rows(shown).array.names == table_rows(X).array.names == ["a", "label"]


def test_columns_of_a_hugging_face_dataset_with_a_transform_are_refused():
    X = hub().Dataset.from_dict({"a": [0.5, 1.5]}).with_transform(lambda rows: {"a": [0.0 for _ in rows["a"]]})
    with pytest.raises(TypeError, match=r"X has a transform \(set_transform\), which columns are read without"):
        table_rows(X)


def test_a_parquet_file_whose_copy_cannot_be_written(tmp_path, monkeypatch):
    """On a full disk; it was the end of the process where the copy was a map."""
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    X = parquet(tmp_path, WINE)
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"a copy of X cannot be written \(File too large\).*copies/noisyflywheel"):
            table_rows(X)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the file goes with its map")
def test_the_copy_of_a_parquet_file_is_left_behind_by_nobody(tmp_path, monkeypatch):
    """Not where it cannot be removed while it is mapped, as on Windows, and not where the process is killed."""
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    rows = table_rows(parquet(tmp_path, WINE))
    assert list((tmp_path / "copies").iterdir()) == []
    np.testing.assert_array_equal(rows.array[0:178], WINE)


def test_rows_are_read_once_in_any_order_and_repeated():
    class Rising:
        """Stands for h5py, which takes rising indices only."""

        shape, dtype = WINE.shape, WINE.dtype

        def __getitem__(self, rows):
            assert (np.diff(rows) > 0).all()
            return WINE[rows]

    rows = np.array([5, 3, 5, 100])
    np.testing.assert_array_equal(OnDisk(Rising()).take(rows), WINE[rows])


@pytest.mark.parametrize("kind", ["table", "parquet"])
@pytest.mark.parametrize("lengths", [(3, 3, 2, 4, 3), (3, 3, 3, 1, 1)])
def test_lists_of_other_lengths_are_refused_also_where_their_sum_is_right(kind, lengths, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "BLOCK_NUMBERS", 1000)
    pa = pytest.importorskip("pyarrow")
    X = as_parquet(tmp_path, pa.table({"e": [[0.5] * n for n in lengths]}), kind)
    with pytest.raises(ValueError, match="column 'e' of X holds lists of different lengths"):
        FlywheelClassifier().fit(X, [0, 1, 0, 1, 0])


def as_parquet(folder, table, kind):
    """The table itself, or a file of it with groups of three rows."""
    if kind == "table":
        return table
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(table, folder / "x.parquet", row_group_size=3)
    return pq.ParquetFile(folder / "x.parquet")


@pytest.mark.parametrize("kind", ["table", "parquet"])
@pytest.mark.parametrize("column", [[1, 2, 3, None], [True, False, True, None], [0.5, 1.0, 2.0, None]])
def test_cells_without_a_value_are_refused_whatever_the_type(kind, column, tmp_path):
    """They became the smallest whole number in Parquet files."""
    pa = pytest.importorskip("pyarrow")
    X = as_parquet(tmp_path, pa.table({"a": pa.array(column), "b": [1, 2, 3, 4]}), kind)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        FlywheelClassifier().fit(X, [0, 1, 0, 1])


def test_lists_beside_other_columns_are_refused():
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match="column 'e' of X holds lists, beside other columns"):
        FlywheelClassifier().fit(pa.table({"e": [[1.0, 2.0]] * 4, "z": [1, 2, 3, 4]}), [0, 1, 0, 1])


@pytest.mark.parametrize("make", [memmap, h5], ids=lambda make: make.__name__)
def test_rows_of_more_axes_than_pictures_have_are_refused(make, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "COPIED_BYTES", 0)
    with pytest.raises(ValueError, match=r"X must have 2 dimensions \(rows\) or 3 or 4 \(images\), got shape \(8, 2"):
        FlywheelClassifier().fit(make(tmp_path, np.zeros((8, 2, 3, 4, 5))), [0, 1] * 4)
