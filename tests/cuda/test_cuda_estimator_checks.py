"""scikit-learn's own estimator checks with the nets on a CUDA device; on a CPU they are in tests/estimator."""

import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from noisyflywheel import FlywheelClassifier

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@parametrize_with_checks([FlywheelClassifier(device="cuda")])
def test_estimator_check(estimator, check):
    check(estimator)
