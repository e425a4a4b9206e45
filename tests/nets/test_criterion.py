"""What of a user's criterion counts, and what is refused by name."""

import pytest
import torch
from skorch import NeuralNet, NeuralNetClassifier
from torch import nn
from torch.nn import functional as F

from noisyflywheel.backbones import MLP
from noisyflywheel.nets.criterion import check_criterion, check_training_steps, output_kind, warm_up_loss

LOGITS = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
TARGET = torch.arange(8) % 3
WEIGHT = torch.tensor([1.0, 5.0, 0.5])


class Focal(nn.CrossEntropyLoss):
    def forward(self, logits, target):
        return super().forward(logits, target) ** 2


class SameForward(nn.CrossEntropyLoss):
    """A subclass that changes nothing."""


def net(cls=NeuralNetClassifier, criterion=nn.CrossEntropyLoss, **kwargs):
    made = cls(MLP, module__n_features=4, module__n_classes=3, criterion=criterion, train_split=None, **kwargs)
    return made.initialize()


def test_a_plain_criterion_is_the_mean_negative_log_likelihood():
    assert warm_up_loss(net()) is F.nll_loss
    assert warm_up_loss(net(criterion=nn.NLLLoss)) is F.nll_loss


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_weights_and_smoothing_count_as_in_torch(weight, smoothing):
    ready = net(criterion__weight=weight, criterion__label_smoothing=smoothing)
    expected = F.cross_entropy(LOGITS, TARGET, weight, label_smoothing=smoothing)
    torch.testing.assert_close(warm_up_loss(ready)(torch.log_softmax(LOGITS, 1), target=TARGET), expected)


def test_weights_by_hand():
    """Two rows of probability .5 and .25, weights 1 and 3: (log 2 + 3 log 4) / 4 = 1.75 log 2."""
    log_p = torch.tensor([[0.5, 0.5], [0.75, 0.25]]).log()
    loss = warm_up_loss(net(criterion=nn.NLLLoss, criterion__weight=torch.tensor([1.0, 3.0])))
    torch.testing.assert_close(loss(log_p, torch.tensor([0, 1])), 1.75 * torch.tensor(2.0).log())


@pytest.mark.parametrize(
    ("criterion", "kwargs", "words"),
    [
        (nn.MultiMarginLoss, {}, "aux_net has criterion MultiMarginLoss, which is never called"),
        (nn.MSELoss, {}, "criterion MSELoss"),
        (Focal, {}, "criterion Focal"),
        (nn.CrossEntropyLoss, {"reduction": "sum"}, "criterion__reduction='sum'"),
        (nn.CrossEntropyLoss, {"ignore_index": 2}, "criterion__ignore_index=2"),
        (nn.CrossEntropyLoss, {"weight": torch.ones(4)}, r"criterion__weight of shape \(4,\), but there are 3 classes"),
        (nn.NLLLoss, {"weight": torch.tensor([1.0, 0.0, 1.0])}, "criterion__weight .* must be finite and > 0"),
        (nn.NLLLoss, {"weight": torch.tensor([1.0, torch.nan, 1.0])}, "must be finite and > 0"),
    ],
)
def test_what_would_be_ignored_is_refused(criterion, kwargs, words):
    ready = net(criterion=criterion, **{f"criterion__{name}": value for name, value in kwargs.items()})
    with pytest.raises(ValueError, match=words):
        check_criterion(ready, 3, "aux_net")


def test_what_is_known_passes():
    check_criterion(net(criterion__weight=WEIGHT, criterion__label_smoothing=0.1), 3, "main_net")
    check_criterion(net(criterion=SameForward), 3, "main_net")
    check_criterion(net(criterion=nn.NLLLoss, criterion__ignore_index=-1), 3, "main_net")
    compiled = net()
    compiled.criterion_ = torch.compile(compiled.criterion_, backend="eager")
    check_criterion(compiled, 3, "main_net")
    assert output_kind(compiled) == "logits"


@pytest.mark.parametrize("step", ["get_loss", "train_step", "train_step_single", "run_single_epoch", "fit_loop"])
def test_a_training_step_of_the_users_own_is_refused(step):
    own = type("Own", (NeuralNetClassifier,), {step: lambda self, *args, **kwargs: None})
    with pytest.raises(ValueError, match=f"main_net overrides {step} .Own.{step}., which is never called"):
        check_training_steps(own(MLP), "main_net")


def test_skorchs_own_training_steps_pass():
    class Own(NeuralNetClassifier):
        def infer(self, x, **fit_params):
            return super().infer(x, **fit_params)

    for cls in (NeuralNet, NeuralNetClassifier, Own):
        check_training_steps(cls(MLP, criterion=nn.CrossEntropyLoss), "main_net")
