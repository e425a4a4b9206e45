import numpy as np
import pytest
from PIL import Image

from noisyflywheel.audit.folder import image_manifest, load_folder, read_pixels


@pytest.fixture
def folder(tmp_path):
    for label, grey in (("cat", 10), ("dog", 200)):
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.new("RGB", (40, 20), (grey, grey, grey)).save(tmp_path / label / f"{i}.jpg")
    (tmp_path / "cat" / "deep").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "cat" / "deep" / "z.png")
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / ".hidden" / "z.png")
    Image.new("L", (9, 9)).save(tmp_path / "loose.png")
    return tmp_path


def test_manifest(folder):
    manifest = image_manifest(folder)
    assert list(manifest.columns) == ["path", "label"]
    assert len(manifest) == 7
    assert manifest.path.iloc[3] == "cat/deep/z.png"
    assert set(manifest.label) == {"cat", "dog"}


def test_pixels(folder):
    picture = read_pixels(folder / "dog" / "0.jpg", 16)
    assert picture.shape == (16, 16, 3)
    assert abs(int(picture.mean()) - 200) <= 2


def test_unreadable_files_are_listed(folder):
    whole = (folder / "dog" / "1.jpg").read_bytes()
    (folder / "dog" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "2.jpg").write_bytes(b"")
    manifest, pixels, unreadable = load_folder(folder, 16)
    assert [name for name, _ in unreadable] == ["dog/1.jpg", "dog/2.jpg"]
    assert all(reason for _, reason in unreadable)
    assert len(manifest) == len(pixels) == 5
    assert pixels.dtype == np.uint8


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no subfolders with pictures"):
        image_manifest(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="none of the 1 pictures"):
        load_folder(tmp_path)
