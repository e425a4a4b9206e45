import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import noisyflywheel
from noisyflywheel.cli import main


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n, kind = 120, np.array(["ham", "spam"])
    code = rng.integers(0, 2, n)
    return pd.DataFrame(
        {
            "no": np.arange(n),
            "size": np.where(rng.random(n) < 0.1, np.nan, code * 3 + rng.normal(size=n)),
            "color": np.where(code == 1, "red", "blue"),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(code * 90 + rng.integers(0, 30, n), unit="D"),
            "remark": [f"=cmd {'buy now' if c else 'see you'} {i}" for i, c in enumerate(code)],
            "kind": kind[np.where(rng.random(n) < 0.1, 1 - code, code)],
        }
    )


@pytest.fixture
def run(tmp_path, capsys):
    def call(*arguments):
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def fails(result, *words):
    """Exit code 2 and one line on stderr after the progress."""
    code, _, err = result
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith("noisyflywheel audit: error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in last


def test_a_mixed_table(run, table, tmp_path):
    table.loc[[3, 5], "kind"] = None
    table.to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "out"
    code, said, err = run("audit", tmp_path / "t.csv", "--label", "kind", "--out", out, "--cycles", 3)
    assert code == 0, err
    assert "labels are suspect" in said
    for column, kind in {
        "size": "number",
        "color": "category",
        "day": "date",
        "remark": "text",
        "no": "left out",
    }.items():
        assert f"  {column:<6}  {kind} " in err
    assert "2 rows have no label" in err
    issues = pd.read_csv(out / "issues.csv")
    assert len(issues) == 118
    assert issues.label_quality.is_monotonic_increasing
    assert not {4, 6} & set(issues.row)
    before = (tmp_path / "t.csv").read_text().splitlines()
    after = (out / "cleaned.csv").read_text().splitlines()
    assert after[0] == before[0] + ",is_label_issue,label_quality,suggested_label"
    assert after[4] == before[4] + ",,,"
    assert all(new.startswith(old + ",") for old, new in zip(before, after, strict=True))
    assert "Label audit of t.csv" in (out / "report.html").read_text(encoding="utf-8")
    model = joblib.load(out / "model.joblib")
    assert set(model.predict(table.head(4))) <= {"ham", "spam"}


def test_texts_parquet_duplicate_index_and_policy(run, table, tmp_path):
    table.set_axis([7] * 60 + list(range(60))).to_parquet(tmp_path / "t.parquet")
    out = tmp_path / "out"
    arguments = ("--label", "kind", "--text", "remark", "--out", out, "--cycles", 2, "--policy", "drop")
    code, _, err = run("audit", tmp_path / "t.parquet", *arguments)
    assert code == 0, err
    assert "  remark  text      " in err
    issues, cleaned = pd.read_csv(out / "issues.csv"), pd.read_parquet(out / "cleaned.parquet")
    assert len(issues) == 120
    assert len(cleaned) == 120 - issues.is_label_issue.sum()
    assert set(cleaned.index) <= set(range(60))


def test_cross_validation_and_refurbishing(run, table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = ("--label", "kind", "--features", "size,color", "--cv", 2, "--policy", "refurbish")
    code, _, err = run("audit", tmp_path / "t.csv", *arguments, "--out", tmp_path, "--cycles", 2)
    assert code == 0, err
    issues, cleaned = pd.read_csv(tmp_path / "issues.csv"), pd.read_csv(tmp_path / "cleaned.csv")
    changed = (cleaned.kind != table.kind).to_numpy()
    assert set(np.flatnonzero(changed) + 1) <= set(issues.row[issues.is_label_issue])
    others = [name for name in table if name != "kind"]
    assert cleaned[others].astype(str).equals(pd.read_csv(tmp_path / "t.csv")[others].astype(str))


def test_a_folder_with_a_truncated_picture(run, tmp_path):
    rng = np.random.default_rng(0)
    for label, grey in (("dark", 40), ("light", 200)):
        (tmp_path / "in" / label).mkdir(parents=True)
        for i in range(8):
            pixels = np.clip(grey + rng.normal(0, 20, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / label / f"{i}.jpg")
    broken = tmp_path / "in" / "dark" / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    out = tmp_path / "out"
    code, _, err = run("audit", tmp_path / "in", "--out", out, "--cycles", 1, "--image-size", 8)
    assert code == 0, err
    assert "skipped dark/3.jpg: " in err
    issues = pd.read_csv(out / "issues.csv")
    assert len(issues) == 15
    assert "dark/3.jpg" not in set(issues.path)
    assert list(pd.read_csv(out / "cleaned.csv").columns[:2]) == ["path", "label"]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("", ["--label", "kind"], ["t.csv is empty"]),
        ("a,b\n", ["--label", "b"], ["has no rows"]),
        ("a,b\n1,x\n2,y\n", ["--label", "kind"], ["no column 'kind'", "a, b"]),
        ("a,b\n1,x\n2,y\n", [], ["--label COLUMN"]),
        ("a,b\n1,x\n2,x\n", ["--label", "b"], ["one class only ('x')"]),
        ("a,b\n1,x\n", ["--label", "b"], ["at least 2 rows"]),
        ("a,b\n1,\n2,\n", ["--label", "b"], ["holds no labels"]),
        ("a,b\n1,x\n2,y\n3,z\n", ["--label", "b"], ["no class label"]),
        ("a,b\n" + "".join(f"{i},{i / 7}\n" for i in range(30)) * 2, ["--label", "b"], ["measurements"]),
        ('a,b\n1,"x\n2,y\n', ["--label", "b"], ["line 2", "never closed"]),
        ("b\nx\ny\nx\ny\n", ["--label", "b"], ["no column is left"]),
        ("a,b\n1,x\n2,y\n", ["--label", "b", "--embedder", "m"], ["--text"]),
        ("a,b\n1,x\n2,y\n", ["--label", "b", "--features", "q"], ["no column 'q'"]),
        ("a,b\n1,x\n2,y\n", ["--label", "b", "--min-confidence", "3"], ["--min-confidence"]),
        ("a,b\n1,x\n2,y\n", ["--label", "b", "--cv", "1"], ["--cv"]),
        ("a,b\n1,x\n2,y\n", ["--label", "b", "--cycles", "0"], ["--cycles"]),
    ],
)
def test_errors_are_one_line(run, tmp_path, content, options, words):
    (tmp_path / "t.csv").write_text(content)
    fails(run("audit", tmp_path / "t.csv", "--out", tmp_path / "out", *options), *words)
    assert not (tmp_path / "out").exists()


def test_errors_of_paths(run, tmp_path):
    fails(run("audit", tmp_path / "no.csv", "--label", "b", "--out", tmp_path / "o"), "does not exist")
    (tmp_path / "f").write_text("")
    fails(run("audit", tmp_path, "--out", tmp_path / "f"), "is a file")
    fails(run("audit", tmp_path, "--out", tmp_path / "o"), "no subfolders with pictures")
    (tmp_path / "cleaned.csv").write_text("a,b\n1,x\n2,y\n")
    fails(run("audit", tmp_path / "cleaned.csv", "--label", "b", "--out", tmp_path), "overwrite")


def test_wrong_arguments_and_help(run):
    assert run("audit")[0] == 2
    assert run("nothing")[0] == 2
    code, out, _ = run("audit", "--help")
    assert code == 0
    assert "examples:" in out
    assert "exit codes:" in out
    assert run("--version")[1].startswith("noisyflywheel ")


def test_interruption(run, tmp_path, monkeypatch):
    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("noisyflywheel.cli.audit.run", stop)
    monkeypatch.setattr("noisyflywheel.cli.demo.run", stop)
    code, _, err = run("demo")
    assert code == 130
    assert err == "noisyflywheel demo: interrupted\n"


def test_a_traceback_on_demand(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        main(["--traceback", "audit", str(tmp_path / "no"), "--out", "o"])


def test_demo(run, tmp_path):
    code, out, err = run("demo", "--cycles", 2, "--out", tmp_path)
    assert code == 0, err
    assert "plain training" in out
    assert "the flywheel" in out
    with Image.open(tmp_path / "worst_labels.png") as picture:
        assert picture.size[0] > 400


def test_as_a_program(tmp_path):
    root = str(Path(noisyflywheel.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "noisyflywheel", "audit", "no.csv", "--out", "o"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert done.returncode == 2
    assert done.stderr == "noisyflywheel audit: error: no.csv does not exist\n"
