"""scikit-learn's own estimator checks: no failure, and no failure expected."""

import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier


class SmallNet(nn.Module):
    """A user's module: probabilities, as skorch's default criterion wants; widths filled in by fit."""

    def __init__(self, n_features: int = 1, n_classes: int = 1, hidden: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, hidden), nn.ReLU(), nn.Linear(hidden, n_classes), nn.Softmax(dim=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def user_net() -> NeuralNetClassifier:
    return NeuralNetClassifier(SmallNet, optimizer=torch.optim.Adam, lr=0.01, train_split=None, batch_size=32)


ESTIMATORS = [
    FlywheelClassifier(),
    FlywheelClassifier(user_net(), user_net(), n_warmup_epochs=5, n_cycles=3),
    FlywheelClassifier(noise_model="uniform", n_folds=1, n_warmup_epochs=5, n_cycles=3),
    FlywheelClassifier(warm_start=True, n_warmup_epochs=3, n_cycles=2),
]
"""The defaults, users' nets, one net on all rows, and a fit that goes on."""


WHOLE = "check_classifiers_train]"
"""The check of how well a fit does: the only one that the defaults' warm-up has its whole length in."""


@pytest.fixture(autouse=True)
def _short_warm_up(request):
    if not request.node.name.endswith(WHOLE):
        request.getfixturevalue("short_warm_up")


@parametrize_with_checks(ESTIMATORS)
def test_estimator_check(estimator, check):
    check(estimator)
