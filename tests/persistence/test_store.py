"""The store: round trips, one generation at a time, and errors that name path and reason."""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from noisyflywheel.persistence import CheckpointError, fit_folder, has_checkpoint, load_checkpoint, save_checkpoint
from noisyflywheel.persistence.manifest import VERSION
from noisyflywheel.persistence.store import ARRAYS, MANIFEST, TENSORS

META = {"cycle": 3, "gamma": 0.1 + 0.2, "names": ["b", "a"], "order": {"z": 1, "a": None}}


def save(path, n=5):
    tensors = {"w": torch.arange(float(n)), "n": torch.tensor(3), "empty": torch.zeros(0, 2)}
    return save_checkpoint(path, tensors, {"classes": np.array(["a", "bc"]), "q": np.eye(2)}, META)


def test_round_trip_is_exact(tmp_path):
    tensors = {
        str(dtype): torch.arange(6).reshape(2, 3).to(dtype)
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    }
    arrays = {"s": np.array(["x", "é"]), "t": np.array(["2020-01-01"], "M8[ns]"), "i": np.arange(3)}
    save_checkpoint(tmp_path, tensors, arrays, META)
    loaded = load_checkpoint(tmp_path)
    assert set(loaded.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
        assert loaded.arrays[name].dtype == array.dtype
    assert loaded.meta == META
    assert list(loaded.meta["order"]) == ["z", "a"]


def test_views_and_shared_memory_are_stored_as_values(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "t": base.T,
        "row": base[1],
        "same": base,
        "again": base,
        "grad": base.clone().requires_grad_(),
    }
    save_checkpoint(tmp_path, tensors, {}, {})
    loaded = load_checkpoint(tmp_path).tensors
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor.detach())


def test_nothing_at_all_can_be_stored(tmp_path):
    save_checkpoint(tmp_path, {}, {}, {})
    assert load_checkpoint(tmp_path) == ({}, {}, {})


def test_the_newest_replaces_the_one_before(tmp_path):
    first, second = save(tmp_path, 5), save(tmp_path, 7)
    assert not first.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [second.name]
    assert len(load_checkpoint(tmp_path).tensors["w"]) == 7


def test_leftovers_of_killed_writers_are_ignored_and_removed(tmp_path):
    save(tmp_path)
    left = tmp_path / ".unfinished-123"
    left.mkdir()
    (left / TENSORS).write_bytes(b"half")
    assert len(load_checkpoint(tmp_path).tensors["w"]) == 5
    save(tmp_path)
    assert not left.exists()


def test_failed_write_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    save(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device") as caught:
        save(tmp_path, 9)
    assert caught.value.path.endswith(TENSORS)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert len(load_checkpoint(tmp_path).tensors["w"]) == 5


def test_every_file_and_directory_is_synced_before_the_rename(tmp_path, monkeypatch):
    events = []
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("sync"), sync(handle))[1])
    monkeypatch.setattr(os, "rename", lambda a, b: (events.append("rename"), rename(a, b))[1])
    save(tmp_path)
    assert events == ["sync"] * 4 + ["rename", "sync"]  # three files, their directory; the parent


def test_missing_checkpoint(tmp_path):
    assert not has_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="nowhere: holds no checkpoint"):
        load_checkpoint(tmp_path / "nowhere")


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="file: cannot be read"):
        load_checkpoint(tmp_path / "file")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(tmp_path / "file")


@pytest.mark.parametrize("name", [MANIFEST, TENSORS, ARRAYS])
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda p: p.unlink(), "missing"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_bytes(p.read_bytes()[:-7]), "truncated|JSON"),
        (lambda p: p.write_bytes(p.read_bytes() + b" "), "too long|SHA-256"),
        (lambda p: p.write_bytes(p.read_bytes()[:-9] + b"\x01" + p.read_bytes()[-8:]), "SHA-256|JSON"),
        (lambda p: (p.unlink(), p.mkdir()), "cannot be read"),
    ],
)
def test_harm_to_a_file_is_named(tmp_path, name, harm, reason):
    path = save(tmp_path) / name
    harm(path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_checkpoint(tmp_path)
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{caught.value.path}: {caught.value.reason}"


def rewrite(generation, change):
    """A manifest that was changed and signed again."""
    manifest = json.loads((generation / MANIFEST).read_bytes())
    del manifest["sha256"]
    change(manifest)
    body = json.dumps(manifest).encode()
    manifest["sha256"] = hashlib.sha256(body).hexdigest()
    (generation / MANIFEST).write_bytes(json.dumps(manifest).encode())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.update(version=VERSION + 1), f"newer format {VERSION + 1}"),
        (lambda m: m.update(version="1"), "no positive integer"),
        (lambda m: m.update(format="other"), "not a manifest"),
        (lambda m: m.update(files={}), "lists the files"),
        (lambda m: m["files"].update({"../../evil": m["files"][TENSORS]}), "lists the files"),
        (lambda m: m["files"].update({TENSORS: "x"}), "does not describe"),
        (lambda m: m["files"][TENSORS].update(size=-1), "too long"),
        (lambda m: m["files"][TENSORS].update(size="big"), "no size"),
        (lambda m: m.update(files=[]), "lacks its parts"),
        (lambda m: m.pop("meta"), "lacks its parts"),
        (lambda m: m.update(meta=[1]), "no JSON object"),
        (lambda m: m.update(extra=1), "lacks its parts"),
    ],
)
def test_manifests_that_are_signed_again_are_still_checked(tmp_path, change, reason):
    rewrite(save(tmp_path), change)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(tmp_path)


def test_what_the_format_cannot_hold_is_refused_before_writing(tmp_path):
    with pytest.raises(TypeError, match="array 'o' has dtype object"):
        save_checkpoint(tmp_path, {}, {"o": np.array([None, "x"], dtype=object)}, {})
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path, {}, {}, {"f": print})
    with pytest.raises(ValueError, match="Out of range float"):
        save_checkpoint(tmp_path, {}, {}, {"f": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_error_survives_pickle():
    import pickle

    error = pickle.loads(pickle.dumps(CheckpointError("a/b", "is gone")))
    assert (error.path, error.reason, str(error)) == ("a/b", "is gone", "a/b: is gone")


@pytest.fixture
def read_only():
    """A directory that this process may not write into; root becomes somebody else for it."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield path
    if root:
        os.seteuid(0)
    path.rmdir()


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_read_only_directory(read_only):
    with pytest.raises(CheckpointError, match="cannot be written .Permission denied"):
        save(read_only / "new")
    with pytest.raises(CheckpointError, match="cannot be written .Permission denied"):
        save(read_only)
    with (
        pytest.raises(CheckpointError, match="checkpoint_dir cannot be written .Permission denied"),
        fit_folder(read_only, "a" * 32),
    ):
        pass
