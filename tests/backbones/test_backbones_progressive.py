"""Pictures that grow: what the net sees, what is saved, and when they grow."""

import warnings

import numpy as np
import pytest
import torch

from noisyflywheel import recipes
from noisyflywheel.backbones import PreActResNet18, ProgressivePreActResNet18, SmallResNet
from noisyflywheel.backbones.progressive import shrink
from noisyflywheel.nets.schedules import GrowingSide


def test_shrink_keeps_the_mean_and_the_shape_of_the_side():
    x = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    small = shrink(x, 8)
    assert small.shape == (2, 3, 8, 12)
    assert torch.allclose(shrink(torch.full((1, 1, 8, 8), 2.0), 4), torch.full((1, 1, 4, 4), 2.0))
    assert shrink(x, 0) is x
    assert shrink(x, 16) is x
    assert shrink(x, 99) is x


def test_the_net_sees_smaller_pictures_and_is_otherwise_the_same():
    torch.manual_seed(0)
    plain = PreActResNet18(n_classes=3).eval()
    net = ProgressivePreActResNet18(n_classes=3).eval()
    net.load_state_dict(plain.state_dict() | {"_extra_state": torch.tensor(0)})
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(net(x), plain(x))
        net.side = 8
        assert torch.allclose(net(x), plain(shrink(x, 8)))
        assert not torch.allclose(net(x), plain(x))


def test_the_side_is_saved_with_the_weights():
    net = ProgressivePreActResNet18()
    net.side = 24
    other = ProgressivePreActResNet18()
    other.load_state_dict(net.state_dict())
    assert other.side == 24


def test_equally_many_epochs_at_each_side():
    schedule = GrowingSide(6, (16, 24, 0))
    assert [schedule.side(epoch) for epoch in range(8)] == [16, 16, 24, 24, 0, 0, 0, 0]
    assert [GrowingSide(2, (16, 24, 0)).side(epoch) for epoch in range(2)] == [16, 24]


def test_the_fast_recipe_grows_its_pictures():
    made = recipes.cifar10_fast(n_warmup_epochs=2, n_cycles=7, device="cpu")
    schedule = dict(made.main_net.callbacks)["side"]
    assert (schedule.n_epochs, schedule.sides) == (9, (16, 24, 0))
    assert made.main_net.module is ProgressivePreActResNet18
    assert recipes.cifar10_fast(compiled=True).main_net.get_params()["module__compiled"] is True
    assert "side" not in dict(recipes.cifar10().main_net.callbacks)


class Tiny(SmallResNet):
    """A small net that notes the side of each epoch."""

    seen: list[int] = []

    def __init__(self, n_classes=10, in_channels=3):
        super().__init__(n_classes, in_channels, width=8, n_stages=2)
        self.side = 0

    def forward_features(self, x):
        if self.training:
            self.seen.append(self.side)
        return super().forward_features(shrink(x, self.side))


def test_a_fit_goes_through_all_sides():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8), np.arange(24) % 3
    Tiny.seen.clear()
    fast = recipes.cifar10_fast(n_warmup_epochs=1, n_cycles=2, device="cpu", random_state=0, main_net__module=Tiny)
    fast.fit(X, y)
    assert list(dict.fromkeys(Tiny.seen)) == [16, 24, 0]
    assert fast.aux_net_.module_.side == 0


def test_a_compiled_net_keeps_the_names_of_its_weights():
    assert (
        ProgressivePreActResNet18(compiled=True).state_dict().keys() == ProgressivePreActResNet18().state_dict().keys()
    )


def test_the_stages_are_one_graph():
    net, graphs = SmallResNet(width=8, n_stages=2), []

    def backend(module, inputs):
        graphs.append(sum(node.op == "call_function" for node in module.graph.nodes))
        return module

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler
        net.stages.compile(backend=backend)
        net(torch.randn(2, 3, 8, 8)).sum().backward()
    assert len(graphs) == 1 and graphs[0] >= 10  # two blocks of five operations at least


@pytest.mark.slow
def test_a_compiled_net_gives_what_the_net_gives():
    torch.manual_seed(0)
    net, compiled = ProgressivePreActResNet18().eval(), ProgressivePreActResNet18(compiled=True).eval()
    compiled.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler
        assert torch.allclose(compiled(x), net(x), atol=1e-4)
