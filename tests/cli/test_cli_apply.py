import pandas as pd

from noisyflywheel.cli.apply import new_classes_note, overruled_note


def test_new_classes_are_named():
    assert new_classes_note({}) == ""
    assert new_classes_note({"a": 2}).startswith(
        "2 labels of a class that the file did not have: 'a'. If it is mistyped"
    )
    many = new_classes_note(dict.fromkeys("abcdefg", 1000))
    assert many.startswith("7,000 labels of classes that the file did not have: 'a', 'b', 'c', 'd', 'e', …. If one is")


def test_rows_of_several_decisions_are_named():
    assert overruled_note([]) == ""
    assert overruled_note([7]) == "Decided more than once, and not alike (the last line counts): row 7."
    assert overruled_note(range(1, 8)).endswith(": rows 1, 2, 3, 4, 5, ….")


def test_another_audit_into_the_folder_takes_back_what_was_applied(run, tmp_path):
    """`apply --undo` gave back a file of the audit before, beside the report of the new one."""
    lines = [f"{i % 2 + i / 100},{'ab'[i % 2 if i > 2 else 0]}" for i in range(20)]
    for name, more in (("one.csv", []), ("two.csv", ["0.5,a", "1.5,b"])):
        (tmp_path / name).write_text("\n".join(["x,kind", *lines, *more]) + "\n")
    out = tmp_path / "o"
    for name in ("one.csv", "two.csv"):
        code, _, err = run("audit", tmp_path / name, "--label", "kind", "--out", out, "--cycles", 1)
        assert code == 0, err
        if name == "one.csv":
            assert run("apply", out, "--policy", "refurbish")[0] == run("apply", out, "--policy", "drop")[0] == 0
    assert len(pd.read_csv(out / "cleaned.csv")) == 22
    assert not (out / "changes.csv").exists()
    code, _, err = run("apply", out, "--undo")
    assert (code, "nothing to undo" in err) == (2, True)
    assert len(pd.read_csv(out / "cleaned.csv")) == 22


def test_undo_goes_with_no_other_option(run, tmp_path):
    """A policy beside it was ignored without a word."""
    options = {"--policy": "drop", "--min-confidence": 0.5, "--decisions": "d.csv", "--input": "t.csv"}
    for option, value in options.items():
        code, _, err = run("apply", tmp_path, "--undo", option, value)
        assert (code, err.endswith(f"does not go with {option}\n")) == (2, True)
    assert run("apply", tmp_path, "--undo")[2].endswith("it has no audit.json\n")


def test_what_can_be_undone_is_no_input(run, tmp_path):
    kept = tmp_path / "o" / "undo" / "0001" / "cleaned.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("x,kind\n1,a\n2,b\n")
    code, _, err = run("audit", kept, "--label", "kind", "--out", tmp_path / "o")
    assert (code, "copy it" in err) == (2, True)
