import numpy as np
import pandas as pd
import pytest
from cleanlab.classification import CleanLearning
from sklearn.linear_model import LogisticRegression

from noisyflywheel.audit import (
    apply_corrections,
    audit_probabilities,
    from_cleanlab,
    to_cleanlab,
    write_report,
)


def test_cleanlab_and_back(issues, tmp_path):
    classes = ["01", "NA", "x"]
    theirs = to_cleanlab(issues, classes)
    assert theirs.given_label.tolist() == [0, 1, 2, 0]
    y = np.repeat([0, 1, 2], 20)
    X = y[:, None] + np.random.default_rng(0).normal(size=(60, 1))
    options = {"n_jobs": 1, "min_examples_per_class": 0}
    learner = CleanLearning(LogisticRegression(), cv_n_folds=2, find_label_issues_kwargs=options)
    own = learner.find_label_issues(X, y)
    ours = from_cleanlab(own, classes)
    assert ours.given_label.tolist() == [classes[code] for code in y]
    pd.testing.assert_frame_equal(to_cleanlab(ours, classes), own[list(theirs.columns)], check_dtype=False)
    page = write_report(tmp_path / "r.html", ours.assign(is_label_issue=True)).read_text()
    assert '"confidence":null' in page  # cleanlab does not say how sure it is
    again = from_cleanlab(theirs, classes)
    assert again.predicted_label.tolist() == issues.predicted_label.tolist()
    CleanLearning(LogisticRegression()).fit(X, y, label_issues=to_cleanlab(ours, classes))
    assert len(apply_corrections((X, np.array(classes)[y]), ours)[1]) == 60 - ours.is_label_issue.sum()


def test_classes_that_are_not_cleanlabs(issues):
    with pytest.raises(ValueError, match="given_label 'x' is not among the classes"):
        to_cleanlab(issues, ["01", "NA"])
    theirs = to_cleanlab(issues, ["01", "NA", "x"])
    with pytest.raises(ValueError, match="no code of 2 classes"):
        from_cleanlab(theirs, ["01", "NA"])
    with pytest.raises(ValueError, match="given_label -1 is no code"):
        from_cleanlab(theirs.assign(given_label=[-1, 0, 0, 0]), ["01", "NA", "x"])
    with pytest.raises(ValueError, match="no column 'predicted_label'"):
        from_cleanlab(theirs.drop(columns="predicted_label"), ["01", "NA", "x"])


def test_an_audit_in_place_of_its_table_is_refused():
    audit = audit_probabilities(np.eye(2)[[0, 1, 0, 1]], [0, 1, 1, 1])
    with pytest.raises(TypeError, match="issues must be a pandas DataFrame, got CrossValAudit: pass what its get_"):
        to_cleanlab(audit, [0, 1])
