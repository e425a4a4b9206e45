import io

import pandas as pd
import pytest

from noisyflywheel.audit.files.binary_tables import ExcelFile
from noisyflywheel.audit.files.delimited import DelimitedFile
from noisyflywheel.audit.rows.identity import NUMBER, bare_fingerprint, row_fingerprints


@pytest.mark.parametrize("times", [1, 2, 3])
def test_columns_without_a_name_are_the_same_for_pandas(times):
    """An index that was written with its table: names before and behind "Unnamed", and indices of earlier files."""
    table = pd.DataFrame({"Age": [1, 2], "Zip": ["a", "b"], "kind": ["x", "y"]})
    for _ in range(times):
        data = table.to_csv().encode()
        table = pd.read_csv(io.BytesIO(data))
    marks = row_fingerprints(DelimitedFile(data).frame(), ["kind"]).tolist()
    assert row_fingerprints(table, ["kind"]).tolist() == marks


def test_a_column_without_a_name_in_a_sheet_is_the_same_for_pandas():
    pytest.importorskip("openpyxl")
    written = io.BytesIO()
    pd.DataFrame({"Age": [1, 2], "kind": ["x", "y"]}).to_excel(written)
    marks = row_fingerprints(ExcelFile(written.getvalue()).frame(), ["kind"]).tolist()
    assert row_fingerprints(pd.read_excel(written), ["kind"]).tolist() == marks


def test_no_fingerprint_is_a_number_for_a_spreadsheet():
    """Bare, one in about 740 is all digits, or digits with one e."""
    marks = row_fingerprints(pd.DataFrame({"x": range(5_000)}))
    assert any(NUMBER.fullmatch(bare_fingerprint(mark)) for mark in marks)
    assert not any(map(NUMBER.fullmatch, marks))
    assert not any(map(NUMBER.fullmatch, row_fingerprints(pd.DataFrame({"kind": ["a"]}), ["kind"])))
