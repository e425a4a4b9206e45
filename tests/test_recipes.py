"""The recipes state Sec. 4.2, take overrides, survive cloning, and train."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from noisyflywheel import recipes
from noisyflywheel.backbones import PreActResNet18, SmallResNet, inception_resnet_v2, resnet50
from noisyflywheel.estimator.parameters import check_parameters
from noisyflywheel.nets.schedules import CosineLR, StepLR

SECTION_4_2 = {  # recipe: (module, epochs, warm-up, rate, batch, weight decay, MixUp)
    "cifar10": (PreActResNet18, 300, 10, 0.02, 128, 5e-4, 4.0),
    "cifar100": (PreActResNet18, 300, 10, 0.02, 128, 5e-4, 4.0),
    "tiny_imagenet": (PreActResNet18, 200, 10, 0.01, 32, 5e-4, 0.5),
    "clothing1m": (resnet50, 80, 1, 0.001, 32, 1e-3, 0.5),
    "webvision": (inception_resnet_v2, 100, 1, 0.02, 32, 5e-4, 0.5),
}


@pytest.mark.parametrize("name", SECTION_4_2)
def test_settings_of_section_4_2(name):
    module, epochs, warm_up, lr, batch, decay, mixup = SECTION_4_2[name]
    classifier = getattr(recipes, name)(device="cpu", random_state=3)
    net = classifier.main_net
    assert (net.module, net.lr, net.batch_size) == (module, lr, batch)
    assert net.optimizer is torch.optim.SGD
    optimizer = net.get_params()
    assert (optimizer["optimizer__momentum"], optimizer["optimizer__weight_decay"]) == (0.9, decay)
    assert (classifier.n_warmup_epochs, classifier.n_cycles) == (warm_up, epochs - warm_up)
    assert (classifier.cr_weight, classifier.contrastive_weight) == (3.0, 0.025)
    assert (classifier.mixup_alpha, classifier.random_state, classifier.device) == (mixup, 3, "cpu")
    check_parameters(clone(classifier).get_params(deep=False))


FROZEN = {  # recipe: (pad, mean, cycle size, further parameters of the nets), as released
    "cifar10": ("auto", None, None, {}),
    "cifar100": ("auto", None, None, {}),
    "cifar10_fast": ("auto", None, None, {"optimizer__nesterov": True}),
    "tiny_imagenet": (8, None, None, {}),
    "clothing1m": (16, (0.485, 0.456, 0.406), 32_000, {"module__weights": "IMAGENET1K_V1"}),
    "webvision": (10, None, None, {}),
}


@pytest.mark.parametrize("name", FROZEN)
def test_what_the_section_leaves_open(name):
    pad, mean, cycle_size, net = FROZEN[name]
    classifier = getattr(recipes, name)(device="cpu", aux_net__lr=0.5)
    assert (classifier.views.pad, classifier.views.mean, classifier.cycle_size) == (pad, mean, cycle_size)
    common = {"optimizer__momentum", "optimizer__weight_decay"}
    for found in (classifier.main_net.get_params(), classifier.aux_net.get_params()):
        assert {key: found[key] for key in net} == net
        further = {key for key in found if key.startswith(("optimizer__", "module__"))}
        assert further == common | net.keys()
        assert (found["train_split"], found["verbose"], found["device"]) == (None, 0, "cpu")


def test_a_recipe_can_be_changed_without_changing_the_table():
    recipes.tiny_imagenet().set_params(main_net__callbacks__lr__first=1)
    assert dict(recipes.tiny_imagenet().main_net.callbacks)["lr"].first == 100


def test_schedules():
    schedule = dict(recipes.cifar10().main_net.callbacks)["lr"]
    assert isinstance(schedule, CosineLR)
    assert schedule.n_epochs == 300
    tiny, clothing, web = (
        dict(recipe().main_net.callbacks)["lr"]
        for recipe in (recipes.tiny_imagenet, recipes.clothing1m, recipes.webvision)
    )
    assert (tiny.first, tiny.gamma, tiny.every) == (100, 0.5, 25)
    assert (clothing.first, clothing.gamma, clothing.every) == (40, 0.1, None)
    assert isinstance(web, StepLR)
    assert (web.first, web.gamma, web.every) == (50, 0.5, 25)
    assert recipes.clothing1m().cycle_size == 1000 * 32


def test_both_forms_of_the_loop():
    paper, ours = recipes.cifar10(), recipes.cifar10(literal=False)
    assert {name: getattr(paper, name) for name in recipes.LITERAL} == recipes.LITERAL
    assert {name: getattr(ours, name) for name in recipes.OURS} == recipes.OURS
    assert recipes.cifar10_fast().cr_ramp == 20
    assert recipes.cifar10_fast(literal=True).cr_ramp == 0


def test_overrides_reach_classifier_nets_and_schedule():
    classifier = recipes.cifar10(n_cycles=5, n_warmup_epochs=2, main_net__batch_size=16, views=None)
    assert classifier.main_net.batch_size == 16
    assert classifier.main_net.callbacks[0][1].n_epochs == 7
    assert classifier.views is None
    assert classifier.aux_net is None
    assert recipes.cifar10(aux_net__lr=0.5).aux_net.lr == 0.5
    assert recipes.cifar10(views__pad=2).views.pad == 2
    assert recipes.clothing1m(weights=None).main_net.get_params()["module__weights"] is None
    with pytest.raises(ValueError, match="number of warm-up epochs"):
        recipes.cifar10(n_warmup_epochs="auto")
    with pytest.raises(ValueError, match="number of cycles, got n_cycles='auto'"):
        recipes.cifar10(n_cycles="auto")
    assert recipes.tiny_imagenet(n_cycles="auto").n_cycles == "auto"


def test_a_recipe_trains_and_its_rate_runs_over_warm_up_and_cycles():
    rng = np.random.default_rng(0)
    y = np.arange(24) % 3
    X = (rng.integers(0, 60, (24, 8, 8, 3)) + 80 * (y[:, None, None, None] == np.arange(3))).astype(np.uint8)
    small = {"main_net__module": SmallResNet, "main_net__module__width": 8, "main_net__batch_size": 8}
    classifier = recipes.cifar10(n_warmup_epochs=1, n_cycles=2, device="cpu", random_state=0, **small).fit(X, y)
    assert classifier.aux_net_.history[:, "lr"] == pytest.approx([0.02, 0.015, 0.005])
    assert classifier.main_net_.history[:, "lr"] == pytest.approx([0.02, 0.015, 0.005])
    assert classifier.predict(X).shape == (24,)


def test_overrides_of_g_hold_for_f_beside_its_own():
    classifier = recipes.cifar10(device="cpu", main_net__batch_size=64, aux_net__lr=0.1, main_net__module=SmallResNet)
    main, aux = classifier.main_net, classifier.aux_net
    assert (main.batch_size, main.lr, main.module) == (64, 0.02, SmallResNet)
    assert (aux.batch_size, aux.lr, aux.module) == (64, 0.1, SmallResNet)


def test_numbers_of_epochs_may_be_numpys():
    assert recipes.cifar10(device="cpu", n_warmup_epochs=np.int64(3)).n_warmup_epochs == 3
