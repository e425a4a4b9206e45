"""Nine rows of one class to one of the other."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric

pytestmark = pytest.mark.usefixtures("quick_folds")


@pytest.mark.parametrize(("params", "right"), [({"n_folds": 1, "n_cycles": 25}, 0.9), ({"n_cycles": 3}, 0.85)])
def test_a_large_class_keeps_its_rows_under_heavy_noise(params, right):
    """Nine rows to one and 40 % of the labels redrawn: lambda = 3 alone would make the classes change places."""
    X, y = make_classification(400, 15, n_informative=6, weights=[0.9], flip_y=0, class_sep=1.2, random_state=2)
    clf = FlywheelClassifier(random_state=0, device="cpu", **params).fit(X, symmetric(y, 0.4, random_state=0))
    assert balanced_accuracy_score(y, clf.refurbished_labels_) > 0.7
    assert np.mean(clf.refurbished_labels_ == y) > right
