"""Members side by side: each is the perceptron it stands for, and the whole is their mean."""

import pickle

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from noisyflywheel.backbones import FoldedMLP
from noisyflywheel.backbones.trees import Trees, grow
from noisyflywheel.em.division import divided_out
from noisyflywheel.em.losses import cross_entropy

D, K, FOLDS = 3, 4, 2


def made(dropout=0.0):
    torch.manual_seed(0)
    module = FoldedMLP(D, K, n_folds=FOLDS, width=5, dropout=dropout)
    module.adapt(torch.randn(30, D))
    return module


def member(family, m, x):
    """The perceptron ``m`` of a family, written plainly: (B, n_inputs) -> (B, K)."""
    part = slice(m * family.width, (m + 1) * family.width)
    hidden = F.silu(x @ family.w1[:, part] + family.b1[part])
    hidden = F.silu(hidden @ family.w2[m] + family.b2[m])
    return hidden @ family.w3[m] + family.b3[m]


def test_members_are_perceptrons():
    module, x = made().train(), torch.randn(7, D)
    logits = module(x)
    assert logits.shape == (2 * FOLDS, 7, K)
    for family, encoded, at in zip(module.families, module.encodings(x), (0, FOLDS), strict=True):
        for m in range(FOLDS):
            assert_close(logits[at + m], member(family, m, encoded))


def test_each_member_weighs_its_columns():
    """The perceptron of weighted inputs; bins have the weight of their column."""
    module, x = made().train(), torch.randn(7, D)
    plain = module(x)
    columns = torch.rand(2 * FOLDS, D) + 0.5
    module.weigh(columns)
    logits, (scaled, binned) = module(x), module.encodings(x)
    for m in range(FOLDS):
        assert_close(logits[m], member(module.families[0], m, scaled * columns[m]))
        own = columns[FOLDS + m]
        weighted = binned * torch.cat([own, own[module.bins.column]])
        assert_close(logits[FOLDS + m], member(module.families[1], m, weighted))
    module.weigh(torch.ones(2 * FOLDS, D))
    assert_close(module(x), plain)
    module.weigh(columns)
    module.keep(0), module.keep(1)
    apart = module.apart(x.expand(2 * FOLDS, *x.shape))
    assert_close(apart, logits)
    assert_close(module.apart(x.expand(2 * FOLDS, *x.shape), kept=True)[: 2 * FOLDS], logits)


def test_weights_are_not_trained_and_reach_the_first_layer():
    module, x = made().train(), torch.randn(7, D)
    module.weigh(torch.full((2 * FOLDS, D), 2.0))
    module(x).square().sum().backward()
    plain = made().train()
    with torch.no_grad():
        for family in plain.families:
            family.w1.mul_(2)
    plain(x).square().sum().backward()
    for family, its in zip(module.families, plain.families, strict=True):
        assert not family.input_weight.requires_grad
        assert_close(family.w1.grad, 2 * its.w1.grad)


def test_families_of_an_earlier_version_have_weights_of_one():
    """In a state that lacks them, and pickled as a whole."""
    module, x = made().eval(), torch.randn(7, D)
    saved = {name: value for name, value in module.state_dict().items() if not name.endswith("input_weight")}
    expected = module(x)
    other = made()
    other.weigh(torch.full((2 * FOLDS, D), 2.0))
    other.load_state_dict(saved)
    assert_close(other.eval()(x), expected)
    for family in [*module.families, *module.kept]:
        del family._buffers["input_weight"]
    assert_close(pickle.loads(pickle.dumps(module))(x), expected)


def test_rows_of_their_own():
    module = made().eval()
    x = torch.randn(2 * FOLDS, 7, D)
    apart = module.apart(x)
    for m in range(2 * FOLDS):
        assert_close(apart[m], module.train()(x[m])[m])
    assert module.apart(x, kept=True).shape == (4 * FOLDS, 7, K)


def test_members_skip_rows_that_they_do_not_train_on():
    """The loss and every gradient are those of all members on all rows, where the others' weight is 0."""
    x, target = torch.randn(9, D), torch.randint(K, (9,))
    first = torch.rand(2, 1, 9) < 0.6
    trains = torch.cat([first, ~first], 1).flatten(0, 1)  # (M, B): of each family one member per row

    def gradients(**how):
        module = made().train()
        loss = cross_entropy(module(x, **how).log_softmax(-1), target, 2.0 * trains)
        loss.backward()
        return loss.detach(), [p.grad for p in module.families.parameters()]

    assert_close(gradients(trains=trains), gradients())


def test_the_whole_is_the_mean_probability():
    module, x = made(), torch.randn(7, D)
    mean = module.train()(x).softmax(-1).mean(0)
    assert_close(module.eval()(x).softmax(-1), mean)


def test_kept_members_have_their_share():
    module, other, x = made(), made(), torch.randn(7, D)
    early = module.train()(x).softmax(-1).mean(0)
    with torch.no_grad():
        for p in other.families.parameters():
            p.mul_(0.5)
    second = other.train()(x).softmax(-1).mean(0)
    for each in (module, other):
        each.keep(0), each.keep(1)
    module.keep_of(other)
    with torch.no_grad():
        for p in module.families.parameters():
            p.zero_()
    module.kept_share.fill_(0.75)
    assert_close(module.eval()(x).softmax(-1), 0.75 * (early + second) / 2 + 0.25 / K)
    module.go_back_to_kept()
    assert_close(module.train()(x).softmax(-1).mean(0), early)


def test_one_dropout_mask_for_all_members():
    family = made(dropout=0.5).families[0].train()
    torch.manual_seed(1)
    dropped = family._drop(torch.ones(FOLDS, 400, 5))
    assert torch.equal(dropped[0], dropped[1])
    assert set(dropped.unique().tolist()) == {0.0, 2.0} and abs(float(dropped.mean()) - 1) < 0.1
    assert torch.equal(family.eval()._drop(torch.ones(1, 2, 5)), torch.ones(1, 2, 5))


def test_kept_members_are_not_trained():
    module = made().train()
    module(torch.randn(7, D)).sum().backward()
    assert all(p.grad is None for p in module.kept.parameters())
    assert all(p.grad is not None for p in module.families.parameters())


def test_what_kept_members_say_of_labels_becomes_what_it_says_of_classes():
    """Their prediction is divided by T, those of the members that train are not."""
    module, x = made().eval(), torch.randn(7, D)
    module.keep(0), module.keep(1), module.keep_of(module)
    module.families.load_state_dict(made().families.state_dict())
    before, T = module(x), torch.eye(K) * 0.7 + 0.3 * torch.eye(K).roll(1, 1)
    kept = module.apart(x.expand(2 * FOLDS, *x.shape), kept=True).softmax(-1).mean(0)
    module.mix_in_kept(0.4, T)
    assert_close(module(x).exp(), torch.lerp(before.exp(), divided_out(kept, T), 0.4))
    assert not torch.allclose(module.of_kept(kept), kept, atol=0.01)
    module.mix_in_kept(1.0)
    assert_close(module(x).exp(), kept)
    assert torch.equal(module.kept_division, torch.eye(K))


def test_predictions_of_all_together_have_a_temperature():
    module, x = made().eval(), torch.randn(7, D)
    before = module(x)
    module.mix_in_kept(0.0, temperature=2.0)
    assert_close(module(x), torch.log_softmax(before / 2, 1))
    assert torch.equal(module(x).argmax(1), before.argmax(1))
    old = {name: value for name, value in module.state_dict().items() if name != "temperature"}
    new = made().eval()
    new.load_state_dict(module.state_dict())
    assert torch.equal(new(x), module(x))
    new.load_state_dict(old)
    assert torch.equal(new(x), before)
    del new._buffers["temperature"]
    assert torch.equal(pickle.loads(pickle.dumps(new))(x), before)
    module.mix_in_kept(0.0)
    assert torch.equal(module(x), before)


def test_next_to_no_wrong_labels_are_not_divided_out():
    module, prob = made(), torch.rand(5, K).softmax(1)
    for wrong, divides in ((0.009, False), (0.011, True)):
        T = torch.eye(K)
        T[1] = torch.tensor([0, 1 - wrong, wrong, 0])
        module.mix_in_kept(1.0, T)
        assert torch.equal(module.of_kept(prob), prob) is not divides


def test_members_of_before_say_what_they_said():
    """Pickles and state dicts that have no T for the kept members."""
    old, x = made().eval(), torch.randn(7, D)
    state = {name: value for name, value in old.state_dict().items() if name != "kept_division"}
    new = made().eval()
    new.mix_in_kept(0.5, torch.full((K, K), 0.25))
    new.load_state_dict(state)
    assert torch.equal(new(x), old(x)) and torch.equal(new.kept_division, torch.eye(K))
    del old._buffers["kept_division"]
    assert torch.equal(pickle.loads(pickle.dumps(old)).kept_division, torch.eye(K))


def forests():
    """One for each member, on rows and labels that are made."""
    x, given = torch.randn(40, D), torch.arange(40) % K
    grown = [grow(x, given, torch.ones(40), K) for _ in range(2 * FOLDS)]
    trees = Trees(K)
    trees.plant([forest.estimators_ for forest in grown], [forest.classes_ for forest in grown])
    return trees


def test_forests_stand_beside_the_kept_members():
    module, x, trees = made().eval(), torch.randn(7, D), forests()
    module.keep(0), module.keep(1), module.keep_of(module)
    own = torch.cat([family(part) for family, part in zip(module.families, module.encodings(x), strict=True)])
    own = own.softmax(-1).mean(0)  # kept or not, they are the same
    T = torch.eye(K) * 0.7 + 0.3 * torch.eye(K).roll(1, 1)
    module.mix_in_kept(0.4, T), module.mix_in_trees(trees, 0.3)
    beside = 0.7 * own + 0.3 * trees(x).mean(0)
    assert_close(module(x).exp(), 0.6 * own + 0.4 * divided_out(beside, T))
    new = made().eval()
    new.load_state_dict(module.state_dict())
    assert torch.equal(new(x), module(x))


def test_modules_from_before_there_were_trees_predict_as_they_did():
    old, x = made().eval(), torch.randn(7, D)
    old.mix_in_kept(0.5)
    state = {name: value for name, value in old.state_dict().items() if "tree" not in name}
    new = made().eval()
    new.mix_in_trees(forests(), 0.5)
    new.load_state_dict(state)
    assert torch.equal(new(x), old(x)) and len(new.trees) == 0 and new.tree_share == 0
    del old._modules["trees"], old._buffers["tree_share"]
    again = pickle.loads(pickle.dumps(old))
    assert torch.equal(again(x), new(x)) and len(again.trees) == 0


def test_with_plain_numbers_for_what_it_asks_it_is_a_graph():
    """As examples/integrations/onnx_export.py exports it, with forests and a T that is divided out."""
    module, x = made().eval(), torch.randn(7, D)
    module.keep(0), module.keep(1), module.keep_of(module)
    module.mix_in_kept(0.4, torch.eye(K) * 0.7 + 0.3 * torch.eye(K).roll(1, 1), 2.0)
    module.mix_in_trees(forests(), 0.3)
    expected, divides, share, levels = module(x), module.divides(), float(module.kept_share), int(module.trees.n_levels)
    assert divides
    del module.kept_share, module.trees.n_levels, module.temperature
    module.kept_share, module.divides, module.trees.n_levels = share, lambda: divides, levels
    module.temperature = 2.0
    assert_close(torch.export.export(module, (x,), strict=True).module()(x), expected)


def test_kept_members_alone_for_a_while():
    module, x = made().eval(), torch.randn(7, D)
    module.keep(0), module.keep(1)
    with torch.no_grad():
        for parameter in module.families.parameters():
            parameter.add_(0.1)
    module.keep_of(module)
    module.mix_in_kept(0.3, torch.eye(K) * 0.7 + 0.3 * torch.eye(K).roll(1, 1), 2.0)
    whole = module(x)
    found = {}
    for kept in (False, True):
        with module.alone(kept):
            found[kept] = module(x).exp()
    with pytest.raises(RuntimeError), module.alone(True):
        raise RuntimeError
    assert torch.equal(module(x), whole)
    encoded = module.encodings(x)
    members = [family(part) for family, part in zip(module.families, encoded, strict=True)]
    assert_close(found[False], torch.cat(members).softmax(-1).mean(0))
    members = [family(part) for family, part in zip(module.kept, encoded * 2, strict=True)]
    assert_close(found[True], torch.cat(members).softmax(-1).mean(0))
