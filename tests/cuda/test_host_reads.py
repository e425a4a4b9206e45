"""No step reads a value back to the host; what a cycle reads is listed in host_reads.py."""

from functools import partial

import pytest
import torch
from host_reads import HostReads, by_mask
from made import make_pictures, make_rows, small_net
from torch.nn.functional import nll_loss

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import SmallResNet
from noisyflywheel.data import ArraySource
from noisyflywheel.nets import Batch, Trainer, prepare_net
from noisyflywheel.nets.prepare import default_net
from noisyflywheel.views import ImageViews, VectorViews
from noisyflywheel.views.mixup import mixup

pytestmark = pytest.mark.usefixtures("quick_folds")

BATCH, CHUNK = 256, 1024


class Watched:
    """Callback of a fit: the reads between the first cycle, which sets up kernels and optimizers, and the second."""

    def __init__(self, device):
        self.reads = HostReads(device)

    def __call__(self, wheel, row):
        if row["cycle"] == 1:
            self.reads.__enter__()
        else:
            self.reads.__exit__(None, None, None)


def cycle_reads(device, X, given, **params):
    """Reads of the second cycle of a fit."""
    watched = Watched(device)
    settings = {"n_warmup_epochs": 1, "n_cycles": 2, "device": str(device), "random_state": 0, "on_cycle": watched}
    FlywheelClassifier(**settings | params).fit(X, given)
    return watched.reads


@pytest.mark.parametrize("form", ["default", "paper"])
@pytest.mark.parametrize("kind", ["rows", "pictures"])
def test_a_cycle_reads_only_what_is_listed(device, kind, form):
    literal = {"contrastive_weight": 0.025, "mixup_alpha": 4.0, "resample": "argmax", "calibrate": False}
    params = literal if form == "paper" else {}
    if kind == "pictures":
        params = params | {"main_net": small_net(device)}
        X, given, _ = make_pictures()
    else:
        X, given, _ = make_rows()
    reads = cycle_reads(device, X, given, **params)
    assert reads.places["nets/trainer:epoch"] == 2
    assert reads.not_listed() == {}


def trainer_and_views(device, kind):
    """A net, its rows on the device, their labels and views."""
    if kind == "pictures":
        (X, given, _), net, views = make_pictures(), small_net(device), ImageViews()
    else:
        (X, given, _), net, views = make_rows(), default_net(False, 5_000, str(device)), VectorViews()
    x = torch.from_numpy(X)
    torch.manual_seed(0)
    widths = {"n_features": x[0].numel(), "n_classes": 3, "in_channels": 3}
    ready = prepare_net(net, widths, str(device), kind == "pictures")
    return Trainer(ready), ArraySource(x, device), torch.from_numpy(given).to(device), views.fit(x)


def epoch_steps(source, given, views):
    """Mixed weak views, and strong views made and left, chunk by chunk."""
    generator = torch.Generator(getattr(views, "generator_device", source.device)).manual_seed(0)
    order = torch.Generator().manual_seed(0)
    for rows in torch.arange(len(source), device=source.device).split(CHUNK):
        x = source.take(rows)
        weak, labels = views.weak(x, generator), given[rows]
        views.strong(x, generator)
        for view, label in zip(weak.split(BATCH), labels.split(BATCH), strict=True):
            mixed, _ = mixup(view, torch.eye(3, device=label.device)[label], 4.0, order)
            yield Batch(mixed, label, partial(nll_loss, target=label))


@pytest.mark.parametrize("kind", ["rows", "pictures"])
def test_an_epoch_reads_one_number(device, kind):
    trainer, *rest = trainer_and_views(device, kind)
    trainer.epoch(epoch_steps(*rest))  # sets up kernels and optimizer
    with HostReads(device) as reads:
        trainer.epoch(epoch_steps(*rest))
    assert reads.places["nets/trainer:epoch"] == 1
    assert reads.not_listed() == {}


def test_a_read_in_a_step_is_noticed(device):
    trainer, *rest = trainer_and_views(device, "rows")

    def nosy(batch, log_p):
        return batch.loss(log_p) * float(log_p.detach().sum().isfinite())

    steps = [batch._replace(loss=partial(nosy, batch)) for batch in epoch_steps(*rest)]
    with HostReads(device) as reads:
        trainer.epoch(steps)
    assert len(steps) == 13
    assert reads.not_listed()["nets/trainer:closure"] == 13


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.cpu().numpy(),
        lambda x: torch.equal(x, x + 1),
        lambda x: x.unique(),
    ],
)
def test_every_way_to_read_is_noticed(device, read, monkeypatch):
    import host_reads

    monkeypatch.setattr(host_reads, "here", lambda: "here")
    x = torch.arange(4.0, device=device)
    with HostReads(device) as reads:
        x + 1
        assert reads.places["here"] == 0
        read(x)
    assert reads.places["here"] >= 1


def test_masks_are_told_from_indices():
    assert by_mask([None, torch.tensor([True])])
    assert not by_mask([None, torch.tensor([1])])


def test_the_net_of_these_tests_takes_several_steps_and_chunks():
    assert len(make_rows()[0]) > 3 * CHUNK > 3 * BATCH
    assert isinstance(small_net("cpu").module(), SmallResNet)
