"""What only a CUDA device can show: no host sync in a step, views as on the CPU, a whole fit. Skipped without one."""

import itertools

import numpy as np
import pytest
import torch
from noisyflywheel.loop.batching import auxiliary_batches, main_batches, warm_up_batches

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.assemble import build
from noisyflywheel.views import ImageViews, VectorViews

CUDA = torch.device("cuda")

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    y = np.arange(192) % 3
    X = rng.integers(0, 80, (192, 3, 16, 16)) + 120 * (y[:, None, None, None] == np.arange(3)[None, :, None, None])
    return X.astype(np.uint8), y


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = np.arange(192) % 3
    return (3 * np.eye(3)[y] + rng.normal(size=(192, 3))).astype(np.float32), y


def wheel_of(X, y, **params):
    settings = {"contrastive_weight": 0.025, "mixup_alpha": 4.0, "average_epochs": 2.0} | params
    estimator = FlywheelClassifier(n_warmup_epochs=1, n_cycles=2, device="cuda", **settings)
    wheel = build(estimator, torch.from_numpy(X), y, 3, [0, 1, 2])
    for trainer in wheel.trainers:
        trainer.begin()
    wheel.start_cycles()
    return wheel


def run_steps(trainer, batches):
    """All steps but the first, which sets up kernels and optimizer, with every host sync an error."""
    trainer.net._set_training(True)
    steps = iter(batches)
    trainer._step(next(steps))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        count = 0
        for batch in itertools.islice(steps, 20):
            trainer._step(batch)
            if trainer.average is not None:
                trainer.average.update()
            count += 1
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return count


@pytest.mark.parametrize("kind", ["pictures", "rows"])
@pytest.mark.parametrize("step", ["warm-up", "auxiliary", "main"])
def test_no_host_sync_inside_a_training_step(kind, step, request):
    X, y = request.getfixturevalue(kind)
    wheel = wheel_of(X, y)
    if step == "warm-up":
        trainer, batches = wheel.aux, warm_up_batches(wheel, wheel.aux, wheel.all_rows)
    elif step == "auxiliary":
        trainer, batches = wheel.aux, auxiliary_batches(wheel, wheel.all_rows)
    else:
        trainer, batches = wheel.main, main_batches(wheel, wheel.all_rows)
    assert run_steps(trainer, batches) >= 2


def test_a_sync_is_noticed(rows):
    X, y = rows
    wheel = wheel_of(X, y)

    def nosy(batches):
        for batch in batches:
            yield batch._replace(loss=lambda log_p, loss=batch.loss: loss(log_p) * float(log_p.sum().isfinite()))

    with pytest.raises(RuntimeError, match="synchronizing"):
        run_steps(wheel.main, nosy(main_batches(wheel, wheel.all_rows)))


@pytest.mark.parametrize("view", ["plain", "weak", "strong"])
def test_views_are_those_of_the_cpu(view, pictures):
    x = torch.from_numpy(pictures[0])
    views = ImageViews().fit(x)

    def make(where):
        if view == "plain":
            return views.plain(where)
        return getattr(views, view)(where, torch.Generator().manual_seed(0))

    there = make(x.to(CUDA))
    assert there.device.type == "cuda"
    off = (make(x) - there.cpu()).abs() * views.std_[:, None, None] * 255
    assert (off > 1.01).float().mean() < 1e-3  # a rounding the other way moves one of 256 steps
    assert off.mean() < 0.05


def test_no_host_sync_inside_a_view(pictures):
    x = torch.from_numpy(pictures[0]).to(CUDA)
    views = ImageViews().fit(x)
    generator = torch.Generator().manual_seed(0)
    views.strong(x, generator)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        views.plain(x)
        views.weak(x, generator)
        views.strong(x, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_views_of_vectors_are_seeded_there(rows):
    x = torch.from_numpy(rows[0]).to(CUDA)
    views = VectorViews().fit(x)
    draw = lambda seed: views.weak(x, torch.Generator(CUDA).manual_seed(seed))  # noqa: E731
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))


@pytest.mark.parametrize("kind", ["pictures", "rows"])
def test_fit_predict_and_go_back_to_the_cpu(kind, request, tmp_path):
    X, y = request.getfixturevalue(kind)
    given = y.copy()
    given[::5] = (given[::5] + 1) % 3
    clf = FlywheelClassifier(n_warmup_epochs=5, n_cycles=5, device="cuda", random_state=0).fit(X, given)
    assert next(clf.aux_net_.module_.parameters()).device.type == "cuda"
    proba = clf.predict_proba(X)
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-9)
    assert clf.score(X, y) > 0.8
    assert np.isfinite(clf.history_.to_numpy(dtype=float)).all()
    for name in ("label_quality_", "clean_proba_", "refurbished_proba_", "transition_matrix_"):
        assert isinstance(getattr(clf, name), np.ndarray)


def test_global_random_state_of_the_device_is_as_before(rows):
    X, y = rows
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, device="cuda", random_state=0).fit(X, y)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_memory_is_given_back(pictures):
    X, y = pictures
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, device="cuda", random_state=0).fit(X, y)
    del clf
    import gc

    gc.collect()
    assert torch.cuda.memory_allocated() - before < 32 * 2**20
