"""A ``~`` in a path of the user's is the home folder, wherever the path enters."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import audit_table, cross_val_audit, image_manifest, read_issues, review, write_report
from noisyflywheel.audit.files.table_file import open_table
from noisyflywheel.cli import build_parser, main
from noisyflywheel.data.paths import user_path
from noisyflywheel.datasets import load_image_folder, load_label_file
from noisyflywheel.persistence.whole import replace_file

X, Y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home folder; where the process is, no folder ``~`` may appear."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    yield home
    assert not any(here.iterdir())


def test_user_path(home):
    assert user_path("~/x") == home / "x" == user_path(user_path("~") / "x")
    assert str(user_path("a/~")) == str(user_path("a") / "~")
    assert str(user_path("~nobody-here/x")).startswith("~nobody-here")


def test_classifiers(home):
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, n_folds=1, random_state=0, checkpoint_dir="~/kept").fit(
        X, Y
    )
    assert any(folder.is_dir() for folder in (home / "kept").iterdir())
    clf.save("~/model")
    assert (home / "model").is_dir()
    np.testing.assert_array_equal(FlywheelClassifier.load("~/model").predict_proba(X), clf.predict_proba(X))


def test_audits(home):
    audit = cross_val_audit(LogisticRegression(), X, Y, cv=2, fold_dir="~/folds")
    table = pd.DataFrame(X, columns=list("abc")).assign(y=Y)
    audit_table(table, "y", estimator=LogisticRegression(), cv=2, checkpoint="~/table")
    assert len(list((home / "folds").glob("*.npz"))) == len(list((home / "table").glob("*.npz"))) == 2
    assert write_report("~/report.html", audit, X).parent == home
    assert review(audit, X).save("~/page.html").parent == home
    assert replace_file("~/issues.csv", audit.issues.to_csv().encode()).parent == home
    assert len(read_issues("~/issues.csv")) == len(open_table("~/issues.csv").frame) == 30


def test_pictures_and_labels(home):
    (home / "pictures" / "cat").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(home / "pictures" / "cat" / "1.png")
    assert image_manifest("~/pictures").label.tolist() == ["cat"]
    assert load_image_folder("~/pictures").X.shape == (1, 4, 4, 3)
    np.save(home / "labels.npy", Y)
    assert load_label_file("~/labels.npy").tolist() == Y.tolist()


COMMANDS = {
    "demo --out=~/p": ["out"],
    "audit ~/p --out=~/p": ["input", "out"],
    "review ~/p": ["folder"],
    "relearn ~/p --decisions=~/p --input=~/p": ["folder", "decisions", "input"],
    "apply ~/p --decisions=~/p --input=~/p": ["folder", "decisions", "input"],
    "reproduce cifar10 --data=~/p --out=~/p --labels=~/p": ["data", "out", "labels"],
    "tables ~/p --out=~/p": ["folder", "out"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command, home):
    """Shells leave the ``~`` of ``--out=~/p`` as it is."""
    arguments = build_parser().parse_args(command.split())
    assert {name: getattr(arguments, name) for name in COMMANDS[command]} == dict.fromkeys(
        COMMANDS[command], home / "p"
    )


def test_an_audit_does_not_overwrite_its_file(home, capsys):
    (home / "cleaned.csv").write_text("a,b\n1,x\n2,y\n")
    assert main(["audit", str(home / "cleaned.csv"), "--label=b", "--out=~"]) == 2
    assert "would overwrite" in capsys.readouterr().err
