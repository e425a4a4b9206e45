"""What a user's type checker sees: checked by mypy in `test_types.py`, never run."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyflywheel import FlywheelClassifier, FlywheelWarning
from noisyflywheel.audit import TableAudit, TableEncoder, apply_corrections, audit_table, cross_val_label_issues
from noisyflywheel.noise import symmetric
from noisyflywheel.views import VectorViews

X: NDArray[np.float64] = np.zeros((10, 3))
y: NDArray[np.int64] = np.arange(10) % 2
given = symmetric(y, 0.2, random_state=0)
clf: FlywheelClassifier = FlywheelClassifier(views=VectorViews(), n_cycles=5, random_state=0).fit(X, given)
proba: NDArray[np.float64] = clf.predict_proba(X)
issues: pd.DataFrame = clf.get_label_issues()
crossed: pd.DataFrame = cross_val_label_issues(clf, X, given, cv=3)
audit: TableAudit = audit_table(pd.DataFrame(X).assign(label=given), "label")
encoder: TableEncoder = TableEncoder()
cleaned = apply_corrections((X, given), issues, "drop")
warning: type[UserWarning] = FlywheelWarning
FlywheelClassifier(n_cylces=5)  # mistyped: must be found
FlywheelClassifier(cr_weight="much")  # of the wrong type: must be found
