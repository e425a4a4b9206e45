import json

import numpy as np
import pytest
from PIL import Image

from noisyflywheel.audit.files.folder import image_manifest, left_out, load_folder, read_pixels


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


def test_deep_pictures(folder):
    for i, level in enumerate((6_000, 60_000)):
        Image.fromarray(np.full((9, 9), level, np.uint16)).save(folder / "dog" / f"deep{i}.png")
    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save(folder / "dog" / "float.tif")
    manifest, pixels, unreadable = load_folder(folder, 8)
    assert unreadable == [("dog/float.tif", "has 32-bit pixels (mode F), not 8 or 16 bits")]
    assert [int(pixels[i].mean()) for i in np.flatnonzero(manifest.path.str.contains("dog/deep"))] == [23, 234]


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no subfolders with pictures"):
        image_manifest(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="none of the 1 pictures"):
        load_folder(tmp_path)


def picture(path, grey=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), (grey, grey, grey)).save(path)


def test_links_to_files_that_are_gone_are_listed(tmp_path):
    picture(tmp_path / "cat" / "a.png")
    (tmp_path / "cat" / "b.png").symlink_to("a.png")
    (tmp_path / "dog").mkdir()
    for name, target in (("gone.png", "nothing.png"), ("loop.png", "loop.png"), ("folder.png", "../cat")):
        (tmp_path / "dog" / name).symlink_to(target)
    manifest, pixels, unreadable = load_folder(tmp_path, 8)
    assert manifest.path.tolist() == ["cat/a.png", "cat/b.png"]
    assert len(pixels) == 2
    assert [name for name, _ in unreadable] == ["dog/gone.png", "dog/loop.png"]
    assert unreadable[0][1] == "is missing"
    assert unreadable[1][1].startswith("cannot be read: OSError: ")


def test_splits_are_no_classes(tmp_path):
    for split in ("train", "val", "test"):
        for label in ("cat", "dog"):
            picture(tmp_path / split / label / f"{split}.png", len(split) * 20 + len(label))
    manifest = image_manifest(tmp_path)
    assert set(manifest.label) == {"cat", "dog"}
    assert manifest.split.value_counts().to_dict() == {"train": 2, "val": 2, "test": 2}
    assert manifest.path[0] == "test/cat/test.png"
    assert len(load_folder(tmp_path, 8)[0]) == 6


def test_a_class_may_be_called_test(tmp_path):
    for label in ("test", "other"):
        picture(tmp_path / label / "a.png")
    assert set(image_manifest(tmp_path).label) == {"test", "other"}
    with pytest.raises(ValueError, match="train has no subfolders"):
        picture(tmp_path / "train" / "a.png")
        (tmp_path / "train" / "a.png").replace(tmp_path / "test" / "b.png")
        picture(tmp_path / "test" / "cat" / "c.png")
        image_manifest(tmp_path)


def test_metadata_of_an_imagefolder(tmp_path):
    for name in ("a.png", "deep/b.png"):
        picture(tmp_path / name)
    (tmp_path / "metadata.csv").write_text("file_name,label,kind\ndeep/b.png,01,x\na.png,NA,y\n")
    manifest = image_manifest(tmp_path)
    assert manifest.to_dict("list") == {"path": ["deep/b.png", "a.png"], "label": ["01", "NA"]}
    assert list(image_manifest(tmp_path, "kind").label) == ["x", "y"]
    with pytest.raises(ValueError, match="no column 'q'"):
        image_manifest(tmp_path, "q")


def test_metadata_in_each_split(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / split / "a.png")
        line = json.dumps({"file_name": "a.png", "label": split})
        (tmp_path / split / "metadata.jsonl").write_text(line + "\n")
    manifest = image_manifest(tmp_path)
    assert manifest.to_dict("list") == {
        "path": ["test/a.png", "train/a.png"],
        "label": ["test", "train"],
        "split": ["test", "train"],
    }


def test_metadata_in_another_encoding(tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    (tmp_path / "metadata.csv").write_bytes("file_name,label\na.png,нет\nb.png,при\n".encode("cp1251"))
    assert image_manifest(tmp_path, encoding="cp1251").label.tolist() == ["нет", "при"]


@pytest.mark.parametrize("ending", ["jfif", "JPE", "jp2", "avif"])
def test_less_usual_endings(ending, tmp_path):
    if f".{ending.lower()}" not in Image.registered_extensions():
        pytest.skip("this Pillow knows no such pictures")
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (9, 9), (90, 90, 90)).save(tmp_path / "cat" / f"a.{ending}")
    manifest, pixels, unreadable = load_folder(tmp_path, 8)
    assert (manifest.path.tolist(), unreadable) == ([f"cat/a.{ending}"], [])
    assert abs(int(pixels.mean()) - 90) <= 2


def test_what_is_left_out_is_told(folder):
    assert left_out(folder, image_manifest(folder)) == ["not taken for pictures: 1 .txt"]
    (folder / "fox" / "deep").mkdir(parents=True)
    for name in ("a.HEIC", "b.heic", ".hidden", "deep/LICENSE"):
        (folder / "fox" / name).write_text("no picture")
    (folder / "empty").mkdir()
    expected = [
        "no pictures in empty",
        "no pictures in fox",
        "not taken for pictures: 2 .heic, 1 .txt, 1 without ending",
    ]
    assert left_out(folder, image_manifest(folder)) == expected


def test_what_is_left_out_of_splits(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / split / "cat" / "a.png")
    (tmp_path / "test" / "dog").mkdir()
    (tmp_path / "test" / "dog" / "a.heic").write_text("no picture")
    assert left_out(tmp_path, image_manifest(tmp_path)) == [
        "no pictures in test/dog",
        "not taken for pictures in test: 1 .heic",
    ]
    (tmp_path / "metadata.csv").write_text("file_name,label\ntrain/cat/a.png,1\n")
    assert left_out(tmp_path, image_manifest(tmp_path)) == []


def test_a_folder_of_parquet_files_is_named(tmp_path):
    (tmp_path / "part-0.parquet").write_text("")
    with pytest.raises(ValueError, match=r"no subfolders with pictures; .* \(there are 1 .parquet\): an audit takes"):
        image_manifest(tmp_path)
    (tmp_path / "part-0.parquet").rename(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"is expected \(there are 1 .txt\)$"):
        image_manifest(tmp_path)
