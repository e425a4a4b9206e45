"""scikit-learn's own estimator checks: no failure, and no failure expected."""

import pytest
import torch
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
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
    FlywheelClassifier(user_net(), user_net(), n_warmup_epochs=4, n_cycles=2),
    FlywheelClassifier(noise_model="uniform", n_folds=1, n_warmup_epochs=4, n_cycles=2),
]
"""The defaults, users' nets, and one net on all rows."""

GOES_ON = FlywheelClassifier(warm_start=True, n_warmup_epochs=3, n_cycles=2)
"""A fit that goes on: what differs is what is kept after a fit, and a second fit of the same estimator."""

FIT_TWICE = ["check_classifiers_train", "check_supervised_y_2d", "check_pipeline_consistency"]
OF_WHAT_IS_KEPT = ["check_estimators_pickle", "check_dict_unchanged", "check_dont_overwrite_parameters"]
OF_WHAT_IS_KEPT += ["check_estimators_overwrite_params"]

WHOLE = "[FlywheelClassifier()-check_classifiers_train]"
"""The check of how well a fit does: the only one in which the defaults train as long as they do for users."""


@pytest.fixture(autouse=True)
def _short_fits(request):
    if not request.node.name.endswith(WHOLE):
        request.getfixturevalue("short_fits")


@parametrize_with_checks(ESTIMATORS)
def test_estimator_check(estimator, check):
    check(estimator)


def is_plain(check, name):
    """Whether this is the check of that name, as it stands: other forms of it are other data."""
    return check.func.__name__ == name and not check.keywords


@pytest.mark.parametrize("name", FIT_TWICE + OF_WHAT_IS_KEPT)
def test_a_fit_that_goes_on(name):
    checks = [pair for pair in estimator_checks_generator(GOES_ON) if is_plain(pair[1], name)]
    assert checks
    for estimator, check in checks:
        check(estimator)
