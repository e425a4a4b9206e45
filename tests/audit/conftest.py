"""A small table and its issues."""

import numpy as np
import pandas as pd
import pytest
from issue_tables import issues_of


@pytest.fixture
def table():
    return pd.DataFrame({"text": list("pqrs"), "n": [1.0, np.nan, 3.0, 4.0], "kind": ["01", "NA", "x", "01"]})


@pytest.fixture
def issues(table):
    return issues_of(table, [True, False, True, True], [0.3, 0.9, 0.1, 0.2], ["NA", "NA", "01", "x"])
