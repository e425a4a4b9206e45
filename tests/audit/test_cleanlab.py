"""The table of label issues in cleanlab's hands: `CleanLearning.fit(label_issues=...)` takes it as it is."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noisyflywheel import FlywheelClassifier

pytestmark = pytest.mark.usefixtures("quick_folds_of_module")

cleanlab = pytest.importorskip("cleanlab.classification", reason="cleanlab is not installed")


@pytest.fixture(scope="module")
def fitted(digits):
    X, given, _ = digits
    return FlywheelClassifier(n_cycles=8, random_state=0).fit(X, given)


@pytest.mark.filterwarnings("ignore")  # cleanlab's own
def test_clean_learning_trains_without_the_suspects(digits, fitted):
    X, given, true = digits
    issues = fitted.get_label_issues()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    learner = cleanlab.CleanLearning(model, find_label_issues_kwargs={})
    learner.fit(X, given, label_issues=issues)
    taken = learner.get_label_issues()
    np.testing.assert_array_equal(taken["is_label_issue"], issues["is_label_issue"])
    np.testing.assert_allclose(taken["label_quality"], issues["label_quality"])
    kept = ~issues["is_label_issue"].to_numpy()
    ours = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(X[kept], given[kept])
    np.testing.assert_array_equal(learner.predict(X), ours.predict(X))
    assert (learner.predict(X) == true).mean() > (model.fit(X, given).predict(X) == true).mean()
