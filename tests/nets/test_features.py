"""Where features are read and the head that reads them."""

import pytest
import torch
from torch import nn

from noisyflywheel.backbones import MLP
from noisyflywheel.nets.features import Features, make_head


class Tail(nn.Module):
    """A module without ``forward_features``."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.last = nn.Linear(6, 3)
        self.unused = nn.Identity()

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def test_auto_prefers_the_modules_own_features():
    module = MLP(4, 3, hidden=(7,)).eval()
    torch.testing.assert_close(Features(module)(X), module.forward_features(X))


def test_auto_reads_the_input_of_the_last_linear():
    module = Tail()
    torch.testing.assert_close(Features(module)(X), torch.relu(module.first(X)))


def test_a_named_layer_gives_its_output():
    module = Tail()
    torch.testing.assert_close(Features(module, "first")(X), module.first(X))


def test_of_a_layer_that_returns_a_tuple_the_first_part_counts():
    module = nn.Sequential(nn.LSTM(4, 2))
    x = torch.randn(5, 4)
    assert torch.equal(Features(module, "0")(x), module(x)[0])


def test_features_carry_gradients_and_leave_no_hook():
    module = Tail()
    Features(module)(X).sum().backward()
    assert module.first.weight.grad is not None
    assert not module.last._forward_hooks


def test_a_module_without_linear_has_no_features():
    features = Features(nn.Flatten())
    with pytest.raises(ValueError, match="contrastive_weight > 0 needs features, but Flatten has neither"):
        features(X)


class Packed(nn.Module):
    """Gives its recurrent layer a packed sequence, and gets one back."""

    def __init__(self):
        super().__init__()
        self.recurrent = nn.GRU(4, 2, batch_first=True)

    def forward(self, x):
        lengths = torch.full((len(x),), x.shape[1])
        return self.recurrent(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))[1][-1]


def test_a_layer_that_returns_no_tensor_is_an_error():
    with pytest.raises(ValueError, match="feature_layer='recurrent' of Packed gives a PackedSequence, no tensor"):
        Features(Packed(), "recurrent")(torch.zeros(5, 3, 4))


def test_the_module_is_called_as_its_net_does():
    module = Tail()
    features = Features(module, "first", lambda x: module(2 * x))
    torch.testing.assert_close(features(X), module.first(2 * X))
    compiled = Features(torch.compile(module, backend="eager"), "first", lambda x: pytest.fail("compiled"))
    torch.testing.assert_close(compiled(X), module.first(X))


def test_a_wrong_name_is_an_error():
    with pytest.raises(ValueError, match="feature_layer='nowhere' is no submodule of Tail"):
        Features(Tail(), "nowhere")


def test_a_layer_that_forward_does_not_reach_is_an_error():
    with pytest.raises(ValueError, match="feature_layer='unused' is not reached by forward of Tail: name a"):
        Features(Tail(), "unused")(X)


def test_convolutional_features_are_flattened():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    assert Features(module, "0")(torch.zeros(5, 1, 4, 4)).shape == (5, 8)


def test_make_head_fits_the_width_and_restores_the_mode():
    module = MLP(4, 3, hidden=(7,))
    for mode in (True, False):
        module.train(mode)
        head = make_head(Features(module), X, torch.device("cpu"))
        assert module.training is mode
        assert head(Features(module)(X)).shape == (5, 128)


@pytest.mark.parametrize("layer", ["auto", "first"])
def test_features_of_a_compiled_module_are_those_of_the_module(layer):
    module = Tail()
    compiled = torch.compile(module, backend="eager")
    compiled(X)
    torch.testing.assert_close(Features(compiled, layer)(X), Features(module, layer)(X))
    head = make_head(Features(compiled, layer), X, torch.device("cpu"))
    assert head(Features(compiled, layer)(X)).shape == (5, 128)
