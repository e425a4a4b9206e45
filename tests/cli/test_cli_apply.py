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
