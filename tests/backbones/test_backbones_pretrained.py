"""ResNet-50 and Inception-ResNet-v2: heads, weights files and messages."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.models import resnet50 as torchvision_resnet50

from noisyflywheel.backbones import inception_resnet_v2, resnet50


def test_resnet50_features_and_head():
    net = resnet50(n_classes=14, in_channels=1).eval()
    x = torch.randn(1, 1, 64, 64)
    features = net.forward_features(x)
    assert features.shape == (1, net.feature_dim) == (1, 2048)
    torch.testing.assert_close(net(x), net.forward_head(features))
    assert net(x).shape == (1, 14)


@pytest.mark.slow
def test_resnet50_reads_a_state_dict_file(tmp_path):
    source = torchvision_resnet50().eval()
    torch.save(source.state_dict(), tmp_path / "r50.pt")
    net = resnet50(n_classes=3, weights=tmp_path / "r50.pt").eval()
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(source.fc(net.forward_features(x)), source(x))


def test_resnet50_reads_a_file_whose_head_is_of_other_classes_or_left_out(tmp_path):
    state = torchvision_resnet50(num_classes=7).state_dict()
    bodies = [state, {name: value for name, value in state.items() if not name.startswith("fc.")}]
    for n_classes, saved in zip((3, 7), bodies, strict=True):
        torch.save(saved, tmp_path / "r50.pt")
        net = resnet50(n_classes, weights=tmp_path / "r50.pt")
        assert torch.equal(net.body.conv1.weight, state["conv1.weight"])
        assert net.head.weight.shape == (n_classes, 2048)


def test_resnet50_refuses_bad_weights():
    with pytest.raises(ValueError, match="state-dict file, got 'nowhere.pt'"):
        resnet50(weights="nowhere.pt")
    with pytest.raises(ValueError, match="need in_channels=3, got 1"):
        resnet50(in_channels=1, weights="IMAGENET1K_V1")


def test_inception_without_timm_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match="noisyflywheel\\[timm\\]"):
        inception_resnet_v2()


def test_inception_builds_through_timm(monkeypatch):
    asked = {}

    def create_model(name, **settings):
        asked.update(settings, name=name)
        body = nn.Sequential(nn.Flatten(), nn.Linear(12, 6))
        body.num_features = 6
        return body

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    net = inception_resnet_v2(n_classes=50)
    assert asked == {"name": "inception_resnet_v2", "pretrained": False, "num_classes": 0, "in_chans": 3}
    assert net(torch.randn(2, 3, 2, 2)).shape == (2, 50)
    with pytest.raises(ValueError, match="None or 'DEFAULT'"):
        inception_resnet_v2(weights="x")
