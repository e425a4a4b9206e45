import pandas as pd
import pytest

from noisyflywheel.audit.files.json_rows import JsonFile

TABLE = pd.DataFrame({"x": [1, 2], "kind": ["ham", "spam"]})


@pytest.mark.parametrize("orient", [None, "split", "index", "table"])
def test_a_table_in_one_object_is_refused(orient):
    """Each column, or row, was one cell."""
    with pytest.raises(ValueError, match=r'is one object; a list of objects is expected.*orient="records"'):
        JsonFile(TABLE.to_json(orient=orient).encode())


@pytest.mark.parametrize("text", ['{"x": 1, "box": [2, 3]}', '[{"box": [2, 3]}]', '{"box": [2]} {"box": [3]}'])
def test_rows_may_hold_lists(text):
    assert JsonFile(text.encode()).frame()["box"][0][0] == 2


def test_rows_of_pandas():
    assert JsonFile(TABLE.to_json(orient="records").encode()).frame().to_dict("list") == TABLE.to_dict("list")
    assert JsonFile(TABLE.to_json(orient="records", lines=True).encode()).frame().shape == (2, 2)
