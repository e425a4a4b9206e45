"""Modules of a net as one whose forward is its ``infer``, and weights that have no part in it."""

import torch
from own_infer import InHalves, Joined, Stemmed
from shared_fits import Norms, net
from torch import nn

from noisyflywheel.nets.modules import all_modules
from noisyflywheel.nets.parallel.training import Inferring, has_unused_weights

X = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))


def test_the_forward_is_infer_with_other_modules_in_the_place_of_those_of_the_net():
    made = net(kind=Stemmed).initialize()
    own = [made.module_, made.stem_]
    others = nn.ModuleList([Norms().eval(), nn.Linear(64, 64)])
    found = Inferring(made, others)(X)
    assert torch.equal(found, others[0](others[1](X)))
    assert [made.module_, made.stem_] == own and "infer" not in vars(made)


def test_unused_weights_of_any_module_are_found_and_nothing_is_changed():
    torch.manual_seed(0)
    made = net(kind=Stemmed).initialize()
    before = {name: value.clone() for name, value in all_modules(made).state_dict().items()}
    assert not has_unused_weights(made, all_modules(made), X)
    made.stem_.extra = nn.Linear(2, 2).requires_grad_(False)
    made.stem_.forward = made.stem_[0].forward
    assert has_unused_weights(made, all_modules(made), X[:1])  # those of BatchNorm
    made.stem_[1].requires_grad_(False)
    assert not has_unused_weights(made, all_modules(made), X)
    after = all_modules(made).state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_infer_may_call_the_module_with_several_inputs():
    made = net(Joined, kind=InHalves).initialize()
    assert not has_unused_weights(made, all_modules(made), X)
