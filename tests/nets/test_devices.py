"""Both nets in one place, and a step where the device has no float64."""

import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel.nets.devices import check_same_device, net_device


def net(device="cpu", module=nn.Linear):
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, device=device)


def test_the_device_of_a_net_is_its_own_or_that_of_its_weights():
    assert net_device(net("meta")) == torch.device("meta")
    assert net_device(net(None, nn.Linear(2, 2, device="meta"))) == torch.device("meta")
    assert net_device(net(None)) == net_device(net(None, nn.Flatten())) == torch.device("cpu")


def test_two_devices_are_refused_by_name():
    with pytest.raises(ValueError, match="main_net is on device 'cpu' and aux_net on 'meta': give both"):
        check_same_device(net("cpu"), net("meta"))
    with pytest.raises(ValueError, match="main_net is on device 'cuda:1' and aux_net on 'cuda:0'"):
        check_same_device(net("cuda:1"), net("cuda:0"))
    with pytest.raises(ValueError, match="aux_net on 'meta'"):
        check_same_device(net("cpu"), net(None, nn.Linear(2, 2, device="meta")))


def test_one_device_passes_whatever_it_is_called():
    check_same_device(net("cpu"), net(None))
    check_same_device(net("cuda"), net("cuda:0"))
    check_same_device(net("cuda:1"), net(torch.device("cuda", 1)))
    check_same_device(net("cpu"), net("meta"), override="cpu")
