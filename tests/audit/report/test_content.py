"""What a report shows of its rows, whatever they are in."""

import numpy as np
import pandas as pd
import pytest
import torch
from issue_tables import issues_of
from items import Items
from PIL import Image
from scipy.sparse import coo_matrix, csc_matrix, csr_array, csr_matrix
from skorch.helper import SliceDataset

from noisyflywheel.audit.report.content import Content, fingerprint, plain_value, show_rows
from noisyflywheel.audit.report.page import write_report
from noisyflywheel.data.pictures import as_pictures


@pytest.fixture
def issues():
    return issues_of(
        pd.DataFrame({"kind": list("abab")}), [True, False, True, True], [0.3, 0.9, 0.1, 0.2], list("bbab")
    )


def test_contents():
    assert show_rows(None, [3]) == {3: Content()}
    shown = show_rows(np.array([[1.23456, 2]]), [0])[0]
    assert shown.values == (("x0", "1.235"), ("x1", "2"))
    for shape in ((4, 4), [4, 4, 1], (-1, 4)):
        assert show_rows(np.zeros((2, 16)), [1], image_shape=shape)[1].image.startswith("data:image/png")
    assert show_rows(None, [0], texts=["a\n b" + "x" * 400])[0].text == "a b" + "x" * 276 + "…"
    assert plain_value(float("nan")) == plain_value(np.float32("nan")) == "–"
    assert plain_value(None) == plain_value(pd.NA) == "–"


def test_fingerprint_sees_values_types_and_order():
    X = np.arange(6.0).reshape(2, 3)
    marks = {fingerprint(X), fingerprint(X[::-1]), fingerprint(X.astype("f4")), fingerprint(X.ravel())}
    assert len(marks) == 4
    assert fingerprint(X) == fingerprint(X.copy())
    assert fingerprint(pd.Series(["a", "b"])) != fingerprint(pd.Series(["b", "a"]))
    assert len(fingerprint(["a", "b"])) == 16


def test_fingerprint_of_lists_and_of_what_has_a_hash():
    X = pd.DataFrame({"a": [1.5, None], "b": ["x", None], "c": ["2024-01-01", "9999-12-31"]})
    assert fingerprint(X, X["b"].astype(object)) == "2216d7fb1a4e8157"
    tags = X.assign(d=[["u"], ["v"]])
    assert fingerprint(tags) == fingerprint(tags.copy()) != fingerprint(tags.assign(d=[["u"], ["w"]]))
    assert len(fingerprint(X.assign(d=[{"k": 1}, None]), pd.Series([np.ones(2), np.ones(0)], dtype=object))) == 16


@pytest.mark.parametrize("kind", ["list", "objects", "Pillow"])
def test_lists_of_pictures_are_shown_as_an_array_of_them(issues, tmp_path, kind):
    X = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    rows = [Image.fromarray(x).convert("P") for x in X] if kind == "Pillow" else list(X)
    array = np.stack([x.convert("RGB") for x in rows]) if kind == "Pillow" else X
    if kind == "objects":
        rows = np.empty(4, object)
        rows[:] = list(X)
    assert show_rows(rows, [2, 0]) == show_rows(array, [2, 0])
    assert "data:image" in write_report(tmp_path / "r.html", issues, rows).read_text(encoding="utf-8")
    assert [picture.tolist() for picture in as_pictures(rows, [3])] == [array[3].tolist()]


@pytest.mark.parametrize("kind", [csr_matrix, csc_matrix, coo_matrix, csr_array])
def test_sparse_rows_are_shown_as_dense_ones(issues, tmp_path, kind):
    X = np.arange(12.0).reshape(4, 3) % 5
    assert show_rows(kind(X), [2, 0]) == show_rows(X, [2, 0])
    assert show_rows(kind(X), []) == {}
    assert "<html" in write_report(tmp_path / "r.html", issues, kind(X), features=kind(X)).read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="X has 3 rows, the audit has 4"):
        write_report(tmp_path / "r.html", issues, kind(X[1:]))
    assert fingerprint(kind(X)) == fingerprint(csr_matrix(X)) != fingerprint(csr_matrix(X + 1))


@pytest.mark.parametrize("wrap", [lambda items: items, SliceDataset], ids=["Dataset", "SliceDataset"])
def test_items_of_a_dataset_are_shown(issues, tmp_path, wrap):
    pictures = np.random.default_rng(0).integers(0, 255, (4, 3, 8, 8)).astype(np.uint8)
    dataset = wrap(Items([(torch.tensor(picture), i % 3) for i, picture in enumerate(pictures)]))
    shown = show_rows(dataset, [3, 1])
    assert shown[1].image
    assert shown == show_rows(pictures, [3, 1])
    assert "data:image" in write_report(tmp_path / "r.html", issues, dataset).read_text(encoding="utf-8")
    vectors = wrap(Items([(torch.arange(3.0) + i, 0) for i in range(4)]))
    assert show_rows(vectors, [2])[2].values == (("x0", "2"), ("x1", "3"), ("x2", "4"))


def h5(folder, x):
    return pytest.importorskip("h5py").File(folder / "x.h5", "w").create_dataset("x", data=x)


def zarr(folder, x):
    array = pytest.importorskip("zarr").create_array(str(folder / "x.zarr"), shape=x.shape, dtype=x.dtype)
    array[:] = x
    return array


def narrow(folder, x):
    return torch.from_numpy(x).to(torch.bfloat16)


def with_gradient(folder, x):
    return torch.from_numpy(x).float().requires_grad_()


@pytest.mark.parametrize("make", [h5, zarr, narrow, with_gradient])
def test_pictures_are_shown_wherever_they_lie(issues, tmp_path, make):
    pictures = np.random.default_rng(0).integers(0, 255, (4, 8, 8)).astype(np.uint8)
    pictures[:, 0, :2] = 0, 255
    kept = make(tmp_path, pictures)
    as_it_is = pictures if make in (h5, zarr) else kept.detach().float().numpy()
    assert show_rows(kept, [3, 1]) == show_rows(as_it_is, [3, 1])
    assert fingerprint(kept) == fingerprint(as_it_is)
    assert "data:image" in write_report(tmp_path / "r.html", issues, kept, features=kept).read_text(encoding="utf-8")


def test_a_dataset_is_not_read_where_nothing_of_it_is_shown(issues, tmp_path):
    texts = Items(["a"] * 4)
    assert fingerprint(texts) == fingerprint(Items([0] * 4)) != fingerprint(Items([0] * 5))
    write_report(tmp_path / "r.html", issues, texts, texts=["a"] * 4)
    with pytest.raises(TypeError, match="no array or tensor of numbers but str"):
        write_report(tmp_path / "r.html", issues, texts)


def test_a_missing_text_is_empty():
    for texts in (pd.Series(["a", None, "nan"]), np.array(["a", np.nan, "nan"], dtype=object), ["a", None, "nan"]):
        assert [content.text for content in show_rows(None, [0, 1, 2], texts=texts).values()] == ["a", "", "nan"]
