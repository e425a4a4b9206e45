"""List files: lines, pairs, paths, and messages that name the file."""

import pytest

from noisyflywheel.datasets.listfiles import inside, need, read_lines, read_pairs


def test_lines_and_needs(tmp_path):
    with pytest.raises(FileNotFoundError, match="a.txt is missing: the list"):
        read_lines(tmp_path / "a.txt", "the list")
    (tmp_path / "a.txt").write_text("one\n\n two\n")
    assert read_lines(tmp_path / "a.txt", "") == ["one", " two"]
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")  # as editors on Windows leave it
    assert read_lines(tmp_path / "a.txt", "") == ["one", "two"]
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="b.txt is no text file"):
        read_lines(tmp_path / "b.txt", "")
    (tmp_path / "c.txt").write_text("\n")
    with pytest.raises(ValueError, match="c.txt is empty"):
        read_lines(tmp_path / "c.txt", "")
    assert need(tmp_path / "a.txt", "x") == tmp_path / "a.txt"


def test_pairs(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a b.jpg 3\nc.jpg\t4\n")
    assert read_pairs(path, "") == [("a b.jpg", "3"), ("c.jpg", "4")]
    path.write_text("a.jpg\tn01\t0\t9\n")
    assert read_pairs(path, "", sep="\t") == [("a.jpg", "n01")]
    path.write_text("a.jpg\n")
    with pytest.raises(ValueError, match="list.txt: expected a name and a label, got the line 'a.jpg'"):
        read_pairs(path, "")


def test_inside(tmp_path):
    assert str(inside("a/b.jpg", tmp_path)) == "a/b.jpg"
    for key in ("/a.jpg", "../a.jpg", "a/../../b.jpg"):
        with pytest.raises(ValueError, match="outside the data's folder"):
            inside(key, tmp_path)
