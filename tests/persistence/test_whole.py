import os

import pytest

from noisyflywheel.persistence.whole import replace_file, whole_file


def test_a_file_that_is_open_elsewhere_is_named(tmp_path, monkeypatch):
    """Windows replaces no file that is open, in a spreadsheet say."""

    def refuse(part, path):
        raise PermissionError(13, "Access is denied", str(part), None, str(path))

    monkeypatch.setattr(os, "replace", refuse)
    (tmp_path / "issues.csv").write_bytes(b"old")
    with pytest.raises(PermissionError, match="or it is open in another program") as caught:
        replace_file(tmp_path / "issues.csv", b"new")
    assert caught.value.filename == str(tmp_path / "issues.csv")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_an_error_of_writing_names_the_file(tmp_path):
    (tmp_path / "report.html").mkdir()
    for path, kind in ((tmp_path / "gone" / "report.html", FileNotFoundError), (tmp_path / "report.html", OSError)):
        with pytest.raises(kind) as caught:
            replace_file(path, b"new")
        assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_what_is_written_in_parts_is_whole_or_not_there(tmp_path):
    path = tmp_path / "model"
    replace_file(path, b"old")
    with pytest.raises(RuntimeError), whole_file(path) as part:
        part.write_bytes(b"hal")
        raise RuntimeError
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]
    with whole_file(path) as part:
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"new"]
