import json
import os
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noisyflywheel.audit.files.table_file import open_table
from noisyflywheel.audit.rows.matching import read_issues
from noisyflywheel.cli.inputs import Reading, table_job

pytestmark = pytest.mark.usefixtures("quick_folds")


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
    fails(run("audit", tmp_path, "--out", tmp_path / "f" / "o"), "cannot be made", "f is a file")
    fails(run("audit", tmp_path, "--out", tmp_path / "o"), "no subfolders with pictures")
    (tmp_path / "cleaned.csv").write_text("a,b\n1,x\n2,y\n")
    fails(run("audit", tmp_path / "cleaned.csv", "--label", "b", "--out", tmp_path), "overwrite")
    (tmp_path / "changes.csv").write_text("a,b\n1,x\n2,y\n")  # `apply` writes one
    fails(run("audit", tmp_path / "changes.csv", "--label", "b", "--out", tmp_path), "overwrite")
    (tmp_path / "link.csv").symlink_to(tmp_path / "cleaned.csv")
    fails(run("audit", tmp_path / "link.csv", "--label", "b", "--out", tmp_path), "overwrite")
    os.link(tmp_path / "cleaned.csv", tmp_path / "Cleaned.CSV")  # one file, as where case does not count
    fails(run("audit", tmp_path / "Cleaned.CSV", "--label", "b", "--out", tmp_path), "overwrite")


QUICK = ("--cycles", "1")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_names_of_files_that_are_no_text(run, table, tmp_path):
    name = os.fsdecode(b"caf\xe9.csv")
    table.to_csv(tmp_path / name, index=False)
    arguments = ("audit", tmp_path / name, "--label", "kind", "--features", "size", "--out", tmp_path / "o", *QUICK)
    code, _, err = run(*arguments)
    assert code == 0, err
    assert run("apply", tmp_path / "o", "--policy", "drop")[0] == 0
    assert r"caf\udce9.csv" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    folder = tmp_path / "pictures" / "a"
    folder.mkdir(parents=True)
    Image.new("L", (8, 8)).save(folder / os.fsdecode(b"\xe9.png"))
    fails(run("audit", tmp_path / "pictures", "--out", tmp_path / "p"), "not in UTF-8")


def test_classes_stay_what_they_are(run, tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{code * 3 + rng.normal():.2f};{('NA', 'None', '01', '1')[code]}" for code in rng.integers(0, 4, 80)]
    lines[4], lines[9] = "1,5;", "2,5;?"
    (tmp_path / "t.csv").write_bytes("\r\n".join(["size;kind", *lines]).encode("utf-16"))
    code, _, err = run(
        "audit", tmp_path / "t.csv", "--label", "kind", "--missing", "?", "--out", tmp_path / "o", *QUICK
    )
    assert code == 0, err
    assert "2 rows have no label and are not judged. Rows 5, 10" in err
    issues = read_issues(tmp_path / "o" / "issues.csv")
    assert set(issues.given_label) == {"NA", "None", "01", "1"}
    assert sorted(issues.row) == [row for row in range(1, 81) if row not in (5, 10)]


def test_labels_of_blanks_alone_are_none(tmp_path):
    (tmp_path / "t.csv").write_text("size;kind\n1,5;a\n2,5;  \n3,5;b\n4,5;b\n")
    assert table_job(tmp_path / "t.csv", Reading(label="kind")).positions.tolist() == [0, 2, 3]


@pytest.mark.parametrize("policy", ["drop", "refurbish"])
def test_the_cleaned_file_is_the_original_but_for_its_labels(run, table, tmp_path, policy):
    table = table.assign(zip="00510", price=[f"{v:.1f}0".replace(".", ",") for v in table["no"]])
    table.to_csv(tmp_path / "t.csv", index=False, sep=";", lineterminator="\r\n", na_rep="NA", encoding="utf-8-sig")
    arguments = ("--label", "kind", "--features", "size", "--policy", policy, "--out", tmp_path / "o")
    code, _, err = run("audit", tmp_path / "t.csv", *arguments, *QUICK)
    assert code == 0, err
    before = (tmp_path / "t.csv").read_bytes().split(b"\r\n")
    after = (tmp_path / "o" / "cleaned.csv").read_bytes().split(b"\r\n")
    issues = read_issues(tmp_path / "o" / "issues.csv")
    suspects = set(issues.row[issues.is_label_issue])
    assert 0 < len(suspects) < 120
    if policy == "drop":
        assert after == [line for row, line in enumerate(before) if row not in suspects]
        return
    new = issues.set_index("row").refurbished_label
    for row, (old, now) in enumerate(zip(before, after, strict=True)):
        cells = old.split(b";")
        if row in suspects:
            cells[5] = new[row].encode()
        assert now == b";".join(cells)


def test_a_second_run_keeps_what_was_edited(run, table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = ("audit", tmp_path / "t.csv", "--label", "kind", "--features", "size", "--out", tmp_path / "o", *QUICK)
    assert run(*arguments)[0] == 0
    assert "not overwritten" not in run(*arguments)[1]
    edited = (tmp_path / "o" / "issues.csv").read_text() + "\n"
    (tmp_path / "o" / "issues.csv").write_text(edited)
    code, said, _ = run(*arguments)
    assert code == 0
    assert "issues.csv was there and is not overwritten: see " in said
    assert (tmp_path / "o" / "issues.csv").read_text() == edited
    assert len(read_issues(tmp_path / "o" / "issues-2.csv")) == 120
    assert run(*arguments, "--force")[0] == 0
    assert (tmp_path / "o" / "issues.csv").read_text() != edited


def test_a_cleaned_file_is_audited_again(run, table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    assert run("audit", tmp_path / "t.csv", "--label", "kind", "--out", tmp_path / "a", *QUICK)[0] == 0
    first = tmp_path / "a" / "cleaned.csv"
    code, _, err = run("audit", first, "--label", "kind", "--out", tmp_path / "b", *QUICK)
    assert code == 0, err
    for name in ("is_label_issue", "label_quality", "suggested_label"):
        assert f"  {name:<15}  left out" in err
    again = open_table(tmp_path / "b" / "cleaned.csv").frame
    assert list(again.columns) == list(open_table(first).frame.columns)


def test_groups_and_warnings(run, table, tmp_path, monkeypatch):
    table.assign(patient=[f"p{i // 3}" for i in range(120)]).to_csv(tmp_path / "t.csv", index=False)
    arguments = ("--label", "kind", "--groups", "patient", "--cv", "2", "--out", tmp_path / "o", *QUICK)
    code, _, err = run("audit", tmp_path / "t.csv", *arguments)
    assert code == 0, err
    assert "40 groups in 'patient'" in err
    assert "  patient" not in err
    assert "2 fits" in err


def test_splits_and_links(run, tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label, grey in (("dark", 40), ("light", 200)):
            (tmp_path / "in" / split / label).mkdir(parents=True)
            for i in range(6):
                pixels = np.clip(grey + rng.normal(0, 60, (12, 12, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "in" / split / label / f"{i}.png")
    copy = (tmp_path / "in" / "train" / "dark" / "0.png").read_bytes()
    (tmp_path / "in" / "val" / "dark" / "0.png").write_bytes(copy)
    code, _, err = run("audit", tmp_path / "in", "--out", tmp_path / "o", "--image-size", "8", *QUICK)
    assert code == 0, err
    assert "24 labels, 2 classes" in err
    assert "2 files, 1 different ones, lie in several splits. Rows 1, 13" in err
    issues = read_issues(tmp_path / "o" / "issues.csv")
    assert set(issues.split) == {"train", "val"}
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    for path in issues.path[issues.is_label_issue]:
        assert f'"href":"../in/{path}"' in page


def test_from_audit_to_the_cleaned_file(run, table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "o"
    assert run("audit", tmp_path / "t.csv", "--label", "kind", "--features", "size", "--out", out, *QUICK)[0] == 0
    flagged = (out / "cleaned.csv").read_bytes()
    row = int(read_issues(out / "issues.csv").row[0])
    code, _, err = run("apply", out)
    assert code == 2
    assert "has no decisions.csv" in err
    (out / "decisions.csv").write_text(f"row,decision,new_label\n{row},set,egg\n")
    code, said, err = run("apply", out)
    assert code == 0, err
    assert "1 label changed, 0 rows dropped." in said
    assert "1 label of a class that the file did not have: 'egg'. If it is mistyped, correct the decisions" in said
    assert "more than once" not in said
    before, after = ((p).read_text().splitlines() for p in (tmp_path / "t.csv", out / "cleaned.csv"))
    assert [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [row]
    assert after[row] == before[row].rsplit(",", 1)[0] + ",egg"
    assert run("apply", out, "--undo")[0] == 0
    assert (out / "cleaned.csv").read_bytes() == flagged
    assert run("apply", out, "--undo")[0] == 2
    assert run("apply", out, "--policy", "drop", "--min-confidence", "2")[0] == 2
    assert run("review", tmp_path)[0] == 2


def test_relearn_goes_on_from_decisions(run, table, tmp_path):
    table.loc[[3, 5], "kind"] = None
    table.to_csv(tmp_path / "t.csv", index=False)
    before, out = (tmp_path / "t.csv").read_bytes(), tmp_path / "out"
    options = ("--label", "kind", "--cycles", 2, "--features", "size,color", "--seed", 3)
    assert run("audit", tmp_path / "t.csv", *options, "--out", out)[0] == 0
    code, _, err = run("relearn", out)
    assert code == 2
    assert "no decisions.csv" in err
    issues = read_issues(out / "issues.csv")
    first, second = issues.iloc[0], issues.iloc[1]
    other = {"ham": "spam", "spam": "ham"}[first.given_label]
    (out / "decisions.csv").write_text(f"row,decision,new_label,by\n{first.row},set,{other},Ada\n")
    (tmp_path / "more.csv").write_text(f"row,decision,new_label\n{second.row},reject,\n")
    code, said, err = run("relearn", out, "--decisions", tmp_path / "more.csv")
    assert code == 0, err
    assert "2 labels are decided" in said
    assert "of the other 116 are suspect" in said
    again = read_issues(out / "issues.csv").set_index("row")
    assert again.decided.sum() == 2
    assert again.loc[first.row, ["refurbished_label", "label_quality", "is_label_issue"]].tolist() == [other, 1, False]
    assert again.loc[second.row, ["refurbished_label", "given_label"]].tolist() == [second.given_label] * 2
    made = read_issues(out / "decisions.csv")
    assert made[["row", "decision", "by"]].values.tolist() == [[first.row, "set", "Ada"], [second.row, "reject", ""]]
    page = (out / "report.html").read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert data["decisions"][str(first.row)] == {"decision": "set", "label": other, "by": "Ada", "when": ""}
    assert {first.row, second.row} <= {row["row"] for row in data["rows"]}
    assert "size,color" in page
    assert run("apply", out)[0] == 0
    changed = zip(before.splitlines(), (out / "cleaned.csv").read_bytes().splitlines(), strict=True)
    assert [i for i, (a, b) in enumerate(changed) if a != b] == [first.row]


def test_relearn_refuses_a_file_of_other_rows(run, table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "out"
    assert run("audit", tmp_path / "t.csv", "--label", "kind", "--out", out, "--cycles", 1)[0] == 0
    (out / "decisions.csv").write_text("row,decision\n1,skip\n")
    code, _, err = run("relearn", out)
    assert code == 2
    assert "nothing is decided" in err
    (out / "decisions.csv").write_text("row,decision\n1,reject\n")
    table.iloc[::-1].to_csv(tmp_path / "t.csv", index=False)
    code, _, err = run("relearn", out)
    assert code == 2
    assert "is not the row that was judged" in err
    code, _, err = run("relearn", out, "--input", tmp_path / "gone.csv")
    assert code == 2
    assert "gone.csv" in err


def test_checkpoint_goes_on_after_a_stop(run, table, tmp_path, monkeypatch):
    from noisyflywheel.audit.scores import held_out

    table.to_csv(tmp_path / "t.csv", index=False)
    options = ("--label", "kind", "--cycles", 2, "--cv", 2, "--features", "size,color")
    assert run("audit", tmp_path / "t.csv", *options, "--out", tmp_path / "plain")[0] == 0
    out, judge, calls = tmp_path / "out", held_out.judge_fold, []

    def stopping(*parts):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judge(*parts)

    monkeypatch.setattr(held_out, "judge_fold", stopping)
    assert run("audit", tmp_path / "t.csv", *options, "--out", out, "--checkpoint")[0] == 130
    assert (out / "checkpoint").is_dir()
    assert run("audit", tmp_path / "t.csv", *options, "--out", out, "--checkpoint")[0] == 0
    assert len(calls) == 3
    assert (out / "issues.csv").read_bytes() == (tmp_path / "plain" / "issues.csv").read_bytes()
    assert not (out / "checkpoint").exists()
    assert joblib.load(out / "model.joblib").steps[-1][1].checkpoint_dir is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "-1"], ["--seed"]),
        (["--device", "cuda:99"], ["--device cuda:99"]),
        (["--device", "nonsense"], ["--device nonsense"]),
        (["--delimiter", "ab"], ["--delimiter"]),
        (["--encoding", "no-such"], ["--encoding no-such"]),
        (["--image-size", "16"], ["--image-size is for a folder"]),
        (["--embedder", "m"], ["--embedder needs --text"]),
        (["--text", "b"], ["--text b is the column of the labels"]),
        (["--groups", "b"], ["--groups b is the column of the labels"]),
    ],
)
def test_options_are_refused_before_anything_is_read(run, tmp_path, options, words):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe no table at all")
    result = run("audit", tmp_path / "t.csv", "--label", "b", "--out", tmp_path / "o", *options)
    fails(result, *words)
    assert "reading" not in result[2]
    assert not (tmp_path / "o").exists()


def test_options_of_tables_are_refused_for_a_folder(run, tmp_path):
    (tmp_path / "in").mkdir()
    fails(run("audit", tmp_path / "in", "--out", tmp_path / "o", "--groups", "g"), "--groups is for a table")


def test_an_error_names_the_column_of_the_metadata(run, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.new("RGB", (8, 8)).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "metadata.csv").write_text("file_name,kind\na.png,x\nb.png,x\n")
    fails(run("audit", tmp_path / "in", "--out", tmp_path / "o", "--label", "kind"), "'kind' has one class only")


def test_labels_that_flags_would_overwrite_are_refused_before_the_training(run, table, tmp_path):
    table.rename(columns={"kind": "suggested_label"}).to_csv(tmp_path / "t.csv", index=False)
    result = run("audit", tmp_path / "t.csv", "--label", "suggested_label", "--out", tmp_path / "o")
    fails(result, "--policy flag would overwrite the labels in 'suggested_label'")
    assert "training on" not in result[2]


def test_folds_that_cannot_be_are_refused_before_the_training(run, table, tmp_path):
    table.assign(g=np.arange(120) % 3).to_csv(tmp_path / "t.csv", index=False)
    command = ("audit", tmp_path / "t.csv", "--label", "kind", "--out", tmp_path / "o")
    for options, words in (
        (["--cv", 90], ["--cv 90 needs a class of 90 rows"]),
        (["--groups", "g"], ["5 folds need 5 groups", "'g' has 3"]),
    ):
        result = run(*command, *options)
        fails(result, *words)
        assert "training on" not in result[2]


def test_a_folder_in_another_encoding(run, tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for i in range(16):
        pixels = np.clip(40 + 160 * (i % 2) + rng.normal(0, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
        name = f"{'grün' if i % 2 else 'blau'}/{i}.png"
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "in" / name)
        lines.append(f"{name},{'нет' if i % 2 else 'при'}")
    options = ("--out", tmp_path / "o", "--cycles", 1, "--image-size", 8, "--policy", "drop")
    for encoding, names in (("latin-1", {"grün", "blau"}), ("cp1251", {"нет", "при"})):
        code, _, err = run("audit", tmp_path / "in", *options, "--encoding", encoding, "--force")
        assert code == 0, err
        assert set(pd.read_csv(tmp_path / "o" / "issues.csv").given_label) == names
        code, _, err = run("apply", tmp_path / "o", "--policy", "drop")
        assert code == 0, err
        described = "file_name,label\n" + "\n".join(lines).replace("grün", "gruen")
        if encoding == "latin-1":
            (tmp_path / "in" / "grün").rename(tmp_path / "in" / "gruen")
            (tmp_path / "in" / "metadata.csv").write_bytes(described.encode("cp1251"))


def test_short_rows_keep_their_place_when_flags_are_filled_anew(run, tmp_path):
    rows = [f"{i % 2 + i / 100},{'ab'[i % 2]},False,0.5,{'ab'[i % 2]}" for i in range(20)]
    rows[7] = "1.07,b"
    data = "x,label,is_label_issue,label_quality,suggested_label\n" + "\n".join(rows)
    (tmp_path / "t.csv").write_text(data)
    code, _, err = run("audit", tmp_path / "t.csv", "--label", "label", "--out", tmp_path / "o", "--cycles", 1)
    assert code == 0, err
    cleaned = pd.read_csv(tmp_path / "o" / "cleaned.csv")
    pd.testing.assert_frame_equal(cleaned[["x", "label"]], pd.read_csv(tmp_path / "t.csv")[["x", "label"]])
    assert cleaned.notna().all(axis=None)
