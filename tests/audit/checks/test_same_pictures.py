from PIL import Image

from noisyflywheel.audit.checks.same_pictures import same_pictures
from noisyflywheel.audit.files.folder import image_manifest


def picture(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), (grey, grey, grey)).save(path)


def test_the_same_picture_twice(tmp_path):
    for name, grey in (("train/cat/a", 1), ("val/cat/b", 1), ("train/dog/c", 2), ("train/cat/d", 2), ("val/dog/e", 3)):
        picture(tmp_path / f"{name}.png", grey)
    manifest = image_manifest(tmp_path)
    found = {f.kind: [manifest.path[row - 1] for row in f.rows] for f in same_pictures(tmp_path, manifest)}
    assert {kind: set(paths) for kind, paths in found.items()} == {
        "contradiction": {"train/cat/d.png", "train/dog/c.png"},
        "splits": {"train/cat/a.png", "val/cat/b.png"},
    }
    assert same_pictures(tmp_path, manifest.assign(path="gone.png")) == []
