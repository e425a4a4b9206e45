"""Label files: the published forms, and files that could run code."""

import pickle
import zipfile

import numpy as np
import pytest
import torch

from noisyflywheel.datasets import load_label_file

LABELS = np.array([3, 1, 2])


def published(path, dtype):
    """A .pt file as CIFAR-10N publishes it: a dictionary of NumPy arrays."""
    torch.save({"clean_label": LABELS.astype(dtype), "worse_label": LABELS[::-1].astype(dtype)}, path)
    return path


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_pt_dictionary_of_arrays(tmp_path, dtype):
    path = published(tmp_path / "human.pt", dtype)
    labels = load_label_file(path, "worse_label")
    assert labels.dtype == np.int64 and labels.tolist() == [2, 1, 3]
    with pytest.raises(ValueError, match="human.pt has no member 'aggre_label'.*clean_label"):
        load_label_file(path, "aggre_label")
    with pytest.raises(ValueError, match="no member None"):
        load_label_file(path)


def test_pt_written_by_numpy_1(tmp_path):
    """NumPy 1 names its module numpy.core; such files are the published ones."""
    path = published(tmp_path / "human.pt", "int64")
    data = path.read_bytes()
    if b"numpy._core.multiarray" in data:
        state = {"clean_label": LABELS}
        pickled = pickle.dumps(state, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "old.pt", "w") as new:
            for item in old.infolist():
                new.writestr(item, pickled if item.filename.endswith("data.pkl") else old.read(item))
        path = tmp_path / "old.pt"
    assert load_label_file(path, "clean_label").tolist() == [3, 1, 2]


def test_pt_tensor(tmp_path):
    torch.save(torch.tensor(LABELS), tmp_path / "t.pt")
    assert load_label_file(tmp_path / "t.pt").tolist() == [3, 1, 2]


def test_npy_and_npz(tmp_path):
    np.save(tmp_path / "a.npy", LABELS.astype(np.uint8))
    assert load_label_file(tmp_path / "a.npy").tolist() == [3, 1, 2]
    np.savez(tmp_path / "a.npz", y_worse=LABELS)
    assert load_label_file(tmp_path / "a.npz", "y_worse").tolist() == [3, 1, 2]
    with pytest.raises(ValueError, match="holds one array, no member 'x'"):
        load_label_file(tmp_path / "a.npy", "x")


class Code:
    def __reduce__(self):
        return (print, ("this code ran",))


def test_nothing_runs_code(tmp_path, capsys):
    torch.save({"y": Code()}, tmp_path / "a.pt")
    np.save(tmp_path / "a.npy", np.array(Code(), dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", y=np.array(Code(), dtype=object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Code()))
    for name in ("a.pt", "a.npy", "a.npz", "b.npz"):
        with pytest.raises(ValueError, match=name):
            load_label_file(tmp_path / name, None if name == "a.npy" else "y")
    assert "this code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["pt", "npy", "npz"])
def test_damaged_files(tmp_path, suffix):
    path = tmp_path / f"bad.{suffix}"
    for content in (b"", b"PK\x03\x04junk", b"junk"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="bad"):
            load_label_file(path)


def test_a_header_that_promises_more_than_memory_holds(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(10**6, dtype=np.int8))
    content = (tmp_path / "a.npy").read_bytes()
    shape = b"(1000000,), }        "
    (tmp_path / "a.npy").write_bytes(content.replace(shape, b"(10000000000000,), } "))
    with pytest.raises(ValueError, match="a.npy is no plain array"):
        load_label_file(tmp_path / "a.npy")


@pytest.mark.parametrize("content", [[1, [2]], torch.arange(3, dtype=torch.bfloat16), torch.ones(3).requires_grad_()])
def test_members_that_are_no_column(tmp_path, content):
    torch.save({"y": content}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="a.pt: labels must be whole numbers"):
        load_label_file(tmp_path / "a.pt", "y")


def test_other_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.pt is missing"):
        load_label_file(tmp_path / "none.pt")
    (tmp_path / "a.csv").write_text("1")
    with pytest.raises(ValueError, match="a.csv: label files end in"):
        load_label_file(tmp_path / "a.csv")
    np.save(tmp_path / "f.npy", np.ones(3))
    with pytest.raises(ValueError, match="f.npy: labels must be whole numbers"):
        load_label_file(tmp_path / "f.npy")
    np.save(tmp_path / "u.npy", np.array([1, 2**63], dtype=np.uint64))
    with pytest.raises(ValueError, match="u.npy: label 9223372036854775808 in row 1 is too large"):
        load_label_file(tmp_path / "u.npy")
