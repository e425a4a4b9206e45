import errno
import os

import pytest

from noisyflywheel.persistence.whole import replace_file, whole_file


def refuse(number):
    """`os.replace` with an error of the operating system."""

    def replace(part, path):
        raise OSError(number, "Access is denied", str(part), None, str(path))

    return replace


@pytest.mark.parametrize(
    ("number", "is_there", "expected"),
    [
        (errno.EACCES, True, "Access is denied, or it is open in another program"),
        (errno.EACCES, False, "Access is denied"),
        (errno.ENOSPC, True, "Access is denied"),
    ],
)
def test_a_file_that_is_open_elsewhere_is_named(tmp_path, monkeypatch, number, is_there, expected):
    """Windows replaces no file that is open, in a spreadsheet say."""
    monkeypatch.setattr(os, "replace", refuse(number))
    if is_there:
        (tmp_path / "issues.csv").write_bytes(b"old")
    with pytest.raises(OSError, match="Access is denied") as caught:
        replace_file(tmp_path / "issues.csv", b"new")
    assert caught.value.errno == number
    assert (caught.value.filename, caught.value.strerror) == (str(tmp_path / "issues.csv"), expected)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"] * is_there


def test_an_error_of_writing_names_the_file(tmp_path):
    (tmp_path / "report.html").mkdir()
    for path, kind in ((tmp_path / "gone" / "report.html", FileNotFoundError), (tmp_path / "report.html", OSError)):
        with pytest.raises(kind) as caught:
            replace_file(path, b"new")
        assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_what_is_written_in_parts_is_whole_or_not_there(tmp_path):
    path = tmp_path / "model"
    assert replace_file(str(path), b"old") == path
    with pytest.raises(RuntimeError), whole_file(path) as part:
        part.write_bytes(b"hal")
        raise RuntimeError
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]
    with whole_file(path) as part:
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"new"]


def test_it_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.fstat(file).st_size) or fsync(file))
    monkeypatch.setattr(os, "replace", lambda *paths: done.append("replaced") or replace(*paths))
    replace_file(tmp_path / "model", b"seven b")
    assert done == [7, "replaced"]


def test_two_that_write_at_once_do_not_meet(tmp_path):
    with whole_file(tmp_path / "model") as one, whole_file(tmp_path / "model") as other:
        one.write_bytes(b"one"), other.write_bytes(b"other")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"one"]
