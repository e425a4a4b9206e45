"""The store: round trips, one generation at a time, and errors that name path and reason."""

import errno
import os
import stat
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

import noisyflywheel
from noisyflywheel.persistence import CheckpointError, fit_folder, has_checkpoint, load_checkpoint, save_checkpoint
from noisyflywheel.persistence.store import FILE, FORMAT

META = {"cycle": 3, "gamma": 0.1 + 0.2, "names": ["b", "a"], "order": {"z": 1, "a": None}}


def save(path, n=5):
    tensors = {"w": torch.arange(float(n)), "n": torch.tensor(3), "empty": torch.zeros(0, 2)}
    return save_checkpoint(path, tensors | {"classes": np.array(["a", "bc"]), "q": np.eye(2)} | META)


def files(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_round_trip_is_exact(tmp_path):
    tensors = {
        str(dtype): torch.arange(6).reshape(2, 3).to(dtype)
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    }
    arrays = {"s": np.array(["x", "é"]), "t": np.array(["2020-01-01"], "M8[ns]"), "i": np.arange(3)}
    save_checkpoint(tmp_path, {"tensors": tensors, "arrays": arrays, "meta": META})
    loaded = load_checkpoint(tmp_path)
    assert set(loaded["tensors"]) == set(tensors)
    for name, tensor in tensors.items():
        assert loaded["tensors"][name].dtype == tensor.dtype
        assert torch.equal(loaded["tensors"][name], tensor)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded["arrays"][name], array, strict=True)
    assert loaded["meta"] == META
    assert list(loaded["meta"]["order"]) == ["z", "a"]


def test_views_and_shared_memory_are_stored_as_values(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "t": base.T,
        "row": base[1],
        "same": base,
        "again": base,
        "grad": base.clone().requires_grad_(),
    }
    save_checkpoint(tmp_path, tensors)
    loaded = load_checkpoint(tmp_path)
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor.detach())
        assert not loaded[name].requires_grad


class OnDevice(torch.Tensor):
    """Stands for a tensor of another device: only its copy on the CPU is a plain one."""

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_tensors_are_stored_on_the_cpu(tmp_path):
    save_checkpoint(tmp_path, {"w": torch.ones(2).as_subclass(OnDevice)})
    assert type(load_checkpoint(tmp_path)["w"]) is torch.Tensor
    assert load_checkpoint(tmp_path)["w"].device.type == "cpu"


def test_nothing_at_all_can_be_stored(tmp_path):
    save_checkpoint(tmp_path, {})
    assert load_checkpoint(tmp_path) == {}


def test_the_newest_replaces_the_one_before(tmp_path):
    save(tmp_path, 5)
    save(tmp_path, 7)
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
    assert len(load_checkpoint(tmp_path)["w"]) == 7


def test_leftovers_of_killed_writers_are_ignored_and_removed(tmp_path):
    save(tmp_path)
    left = tmp_path / ".unfinished-123"
    left.write_bytes(b"half")
    assert len(load_checkpoint(tmp_path)["w"]) == 5
    save(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failed_write_keeps_the_checkpoint_before(tmp_path, monkeypatch, step):
    save(tmp_path)
    before = files(tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(CheckpointError, match="No space left on device") as caught:
        save(tmp_path, 9)
    assert caught.value.path.endswith(FILE)
    assert files(tmp_path) == before
    assert len(load_checkpoint(tmp_path)["w"]) == 5


def test_the_file_is_synced_before_and_its_directory_after_the_rename(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append(os.fstat(handle).st_mode >> 12), sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("replace"), replace(a, b))[1])
    save(tmp_path)
    assert events == [0o10, "replace", 0o4]  # a file; a directory


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.EIO])
def test_a_file_system_may_have_no_fsync_of_directories(tmp_path, monkeypatch, reason):
    sync = os.fsync

    def of_files(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(reason, os.strerror(reason))
        sync(handle)

    monkeypatch.setattr(os, "fsync", of_files)
    with nullcontext() if reason == errno.EINVAL else pytest.raises(CheckpointError, match="cannot be written"):
        save(tmp_path)
    assert len(load_checkpoint(tmp_path)["w"]) == 5


def test_missing_checkpoint(tmp_path):
    assert not has_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="nowhere: holds no checkpoint"):
        load_checkpoint(tmp_path / "nowhere")


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="file: holds no checkpoint"):
        load_checkpoint(tmp_path / "file")
    with pytest.raises(CheckpointError, match="file: cannot be written"):
        save(tmp_path / "file")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_bytes(p.read_bytes()[:-7]), "truncated"),
        (lambda p: p.write_bytes(p.read_bytes()[:30]), "first line"),
        (lambda p: p.write_bytes(p.read_bytes() + b" "), "SHA-256"),
        (lambda p: p.write_bytes(p.read_bytes()[:-9] + b"\x01" + p.read_bytes()[-8:]), "SHA-256"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b" 0.", b" 7.", 1)), "SHA-256"),
        (lambda p: (p.unlink(), p.mkdir()), "cannot be read"),
    ],
)
def test_harm_to_a_file_is_named(tmp_path, harm, reason):
    path = save(tmp_path)
    harm(path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_checkpoint(tmp_path)
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{caught.value.path}: {caught.value.reason}"


def test_the_first_line_names_format_library_and_sha256(tmp_path, sign):
    line, _, content = save(tmp_path).read_bytes().partition(b"\n")
    start = f"noisyflywheel {FORMAT} {noisyflywheel.__version__}".encode()
    assert sign(start, content).startswith(line + b"\n")


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"noisyflywheel 3 9.8.7", "was written by noisyflywheel 9.8.7 in format 3; this library reads format 2 only"),
        (b"noisyflywheel 1 0.0.1", "was written by noisyflywheel 0.0.1 in format 1"),
        (b"noisyflywheel 9" + b"9" * 5000 + b" 1", "first line"),
        (b"noisyflywheel -2 0.1.0", "first line"),
        (b"another 2 0.1.0", "first line"),
    ],
)
def test_files_of_other_formats_are_refused_with_their_version(tmp_path, start, reason, sign):
    path = save(tmp_path)
    path.write_bytes(sign(start, path.read_bytes().partition(b"\n")[2]))
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(tmp_path)


def test_the_first_format_is_refused_with_its_version(tmp_path):
    (tmp_path / "generation-00000000").mkdir()
    with pytest.raises(CheckpointError, match=r"generation-00000000: was written by noisyflywheel 0\.1\.0 in format 1"):
        load_checkpoint(tmp_path)


def test_the_error_survives_pickle():
    import pickle

    error = pickle.loads(pickle.dumps(CheckpointError("a/b", "is gone")))
    assert (error.path, error.reason, str(error)) == ("a/b", "is gone", "a/b: is gone")


@pytest.fixture
def read_only(request):
    """A directory that this process may not write into; root becomes somebody else for it."""
    path = Path(tempfile.mkdtemp())
    path.chmod(getattr(request, "param", 0o555))
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


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
@pytest.mark.parametrize("read_only", [0o000], indirect=True)
def test_unreadable_directory(read_only):
    with pytest.raises(CheckpointError, match="holds no checkpoint|cannot be read .Permission denied"):
        load_checkpoint(read_only)
