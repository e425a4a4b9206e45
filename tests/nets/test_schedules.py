"""Learning rates by epoch: values by hand, against torch's, and after a restart in the middle."""

import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel.backbones import MLP
from noisyflywheel.nets import Trainer, prepare_net
from noisyflywheel.nets.schedules import CosineLR, EpochLR, StepLR


def trainer(schedule):
    net = NeuralNetClassifier(
        MLP,
        criterion=nn.CrossEntropyLoss,
        lr=0.1,
        train_split=None,
        module__hidden=(4,),
        callbacks=[("lr", schedule)],
        optimizer__param_groups=[("*bias", {})],
    )
    made = Trainer(prepare_net(net, {"n_features": 4, "n_classes": 3}, None, False))
    made.add_module(nn.Linear(2, 2))
    made.begin()
    return made


def rates(made, n):
    seen = []
    for _ in range(n):
        made.epoch(iter(()))
        seen.append([group["lr"] for group in made.net.optimizer_.param_groups])
    return seen


def test_cosine_is_torchs():
    made = trainer(CosineLR(7))
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7)
    for head, body in rates(made, 7):
        assert head == body == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    assert made.net.history[0, "lr"] == pytest.approx(0.1)


def test_cosine_rises_first_and_ends_at_zero():
    schedule = CosineLR(6, n_rising=2)
    shares = [schedule.factor(epoch) for epoch in range(8)]
    assert shares[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert shares[4] == pytest.approx(0.5)
    assert shares[6:] == pytest.approx([0, 0], abs=1e-12)


def test_steps_by_hand():
    webvision = StepLR(first=50, gamma=0.5, every=25)
    assert [webvision.factor(e) for e in (0, 49, 50, 74, 75, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    clothing = StepLR(first=40, gamma=0.1)
    assert [clothing.factor(e) for e in (39, 40, 79)] == [1, 0.1, 0.1]
    assert EpochLR().factor(3) == 1


def test_a_continued_training_goes_on_where_it_was():
    whole, first, second = trainer(CosineLR(6)), trainer(CosineLR(6)), trainer(CosineLR(6))
    expected = rates(whole, 6)
    begun = rates(first, 2)
    second.load_state_dict(first.state_dict())
    assert begun + rates(second, 4) == expected
