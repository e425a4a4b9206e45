"""scikit-learn's own estimator checks with the nets on a CUDA device; on a CPU they are in tests/estimator.

As there, the defaults train as long as they do for users in one of them only: time on a GPU is short.
"""

import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from noisyflywheel import FlywheelClassifier

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

WHOLE = "-check_classifiers_train]"


@pytest.fixture(autouse=True)
def _short_fits(request):
    if not request.node.name.endswith(WHOLE):
        request.getfixturevalue("short_fits")


@parametrize_with_checks([FlywheelClassifier(device="cuda")])
def test_estimator_check(estimator, check):
    check(estimator)
