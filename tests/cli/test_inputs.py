"""What is read of folders, and what of them is told."""

import pytest
from PIL import Image

from noisyflywheel.cli.inputs import Reading, folder_job

READING = Reading(image_size=8)


@pytest.fixture
def folder(tmp_path):
    for label, grey in (("dark", 40), ("light", 200)):
        (tmp_path / label).mkdir()
        for i in range(5):
            Image.new("RGB", (8, 8), (grey + i, grey, grey)).save(tmp_path / label / f"{i}.png")
    return tmp_path


def test_classes_that_are_left_out_are_notes(folder):
    (folder / "grey").mkdir()
    (folder / "grey" / "0.heic").write_text("no picture")
    assert folder_job(folder, READING).notes == ["no pictures in grey", "not taken for pictures: 1 .heic"]


def test_an_error_of_the_classes_names_what_was_left_out(folder):
    """All pictures of one class are broken: the error spoke of one class, and they were never listed."""
    for path in (folder / "light").iterdir():
        path.write_text("no picture")
    broken = r"skipped light/0.png: cannot be read: .*; skipped light/1.png: .*; skipped light/2.png: .*; …\)$"
    with pytest.raises(ValueError, match=r"'label' has one class only \('dark'\); at least 2 are needed \(" + broken):
        folder_job(folder, READING)
