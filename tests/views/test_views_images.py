"""Image views: statistics, crop and flip, normalisation, seeds, kinds of pictures and errors."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch.testing import assert_close

from noisyflywheel.views import ImageViews
from noisyflywheel.views.images import crop_flip
from noisyflywheel.views.randaugment import draw, rand_augment


def pictures(n=64, channels=3, size=(16, 12)):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, *size), generator=generator, dtype=torch.uint8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# fit


def test_statistics_of_8_bit_pictures():
    x = pictures(3000)
    views = ImageViews().fit(x)
    unit = x.double() / 255
    assert_close(views.mean_, unit.mean(dim=(0, 2, 3)).float())
    assert_close(views.std_, unit.std(dim=(0, 2, 3), correction=0).float())
    assert (views.low_, views.high_) == (0.0, 1.0)


def test_statistics_of_float_pictures_and_arrays(tmp_path):
    x = np.random.default_rng(0).normal(5, 2, (30, 2, 6, 6)).astype(np.float32)
    stored = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", x.dtype, x.shape)
    stored[:] = x
    stored.flush()
    views = ImageViews().fit(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.testing.assert_allclose(views.mean_, x.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(views.std_, x.std(axis=(0, 2, 3)), rtol=1e-5)
    assert (views.low_, views.high_) == (x.min(), x.max())


def test_a_channel_of_one_value_is_not_divided_by_zero():
    x = pictures()
    x[:, 1] = 200
    views = ImageViews().fit(x)
    assert views.std_[1] == 1
    assert_close(views.plain(x)[:, 1], torch.zeros(64, 16, 12), atol=1e-6, rtol=0)


@pytest.mark.parametrize("offset", [-300.0, 1.0, 7.0])
@pytest.mark.parametrize("share", [1e-5, 1e-4, 1e-3])
def test_channels_that_vary_little_beside_their_mean_are_normalised(offset, share):
    detail = share * abs(offset) * torch.randn(50, 1, 8, 8, generator=seeded())
    x = torch.cat([offset + detail, torch.full_like(detail, offset), detail], 1)
    views = ImageViews().fit(x)
    assert views.std_[1] == 1
    made = views.plain(x)
    assert_close(made[:, 0], made[:, 2], rtol=0, atol=0.05)
    assert_close(made[:, 0].std(correction=0), torch.tensor(1.0), rtol=0, atol=1e-3)


def test_given_constants_are_used():
    views = ImageViews(mean=[0.5], std=[0.25]).fit(pictures(channels=1))
    white = torch.full((1, 1, 16, 12), 255, dtype=torch.uint8)
    assert_close(views.plain(white), torch.full((1, 1, 16, 12), 2.0))


# plain


def test_plain_normalises():
    x = pictures()
    out = ImageViews().fit(x).plain(x)
    assert out.dtype == torch.float32 and out.is_contiguous(memory_format=torch.channels_last)
    assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    assert_close(out.std(dim=(0, 2, 3), correction=0), torch.ones(3))


def test_plain_does_not_change_float_pictures_in_place():
    x = torch.rand(4, 3, 8, 8)
    before = x.clone()
    ImageViews().fit(x).plain(x)
    assert_close(x, before, rtol=0, atol=0)


# weak


def test_crop_flip_by_hand():
    framed = torch.arange(2 * 16).view(2, 1, 4, 4)
    out = crop_flip(framed, 1, torch.tensor([0, 2]), torch.tensor([1, 0]), torch.tensor([0, 1]))
    assert out[0, 0].tolist() == [[1, 2], [5, 6]]
    assert out[1, 0].tolist() == [[25, 24], [29, 28]]


def test_weak_equals_padding_cropping_and_flipping_one_by_one():
    x = pictures()
    views = ImageViews(pad=2).fit(x)
    generator = seeded()
    dy, dx = torch.randint(5, (2, 64), generator=generator)
    mirrored = torch.randint(2, (64,), generator=generator)
    expected = []
    for i in range(64):
        framed = torch.zeros(3, 20, 16, dtype=torch.uint8)
        framed[:, 2:-2, 2:-2] = x[i]
        cut = framed[:, dy[i] : dy[i] + 16, dx[i] : dx[i] + 12]
        expected.append(cut.flip(-1) if mirrored[i] else cut)
    assert_close(views.weak(x, seeded()), views.plain(torch.stack(expected)))


def test_every_place_is_drawn_and_half_are_mirrored():
    x = torch.zeros(4000, 1, 5, 5, dtype=torch.uint8)
    x[:, :, 2, 2] = 255
    x[:, :, 2, 3] = 128
    views = ImageViews(pad=1, mean=[0], std=[1 / 255]).fit(x)
    flat = views.weak(x, seeded()).round().flatten(1)
    counts = torch.bincount(flat.argmax(dim=1), minlength=25).view(5, 5)[1:4, 1:4]
    assert counts.sum() == 4000 and counts.min() > 350
    mirrored = flat.gather(1, flat.argmax(dim=1, keepdim=True) - 1)[:, 0] == 128
    assert abs(mirrored.float().mean() - 0.5) < 0.03


@pytest.mark.parametrize(("side", "pad"), [(8, 1), (28, 3), (32, 4), (64, 8), (6, 0)])
def test_the_frame_grows_with_the_picture(side, pad):
    x = torch.zeros(2, 3, side, side + 8, dtype=torch.uint8)
    views = ImageViews().fit(x)
    assert views.pad_ == pad
    assert views.weak(x).shape == x.shape


def test_no_pad_no_flip_is_plain():
    x = pictures()
    views = ImageViews(pad=0, flip=False, n_ops=0).fit(x)
    assert_close(views.weak(x), views.plain(x))
    assert_close(views.strong(x), views.plain(x))


def test_float_pictures_are_framed_in_black():
    x = torch.rand(40, 1, 4, 4) - 3
    views = ImageViews(pad=4).fit(x)
    black = (views.low_ - views.mean_) / views.std_
    assert_close(views.weak(x, seeded()).min(), black[0])


# strong


def test_strong_is_weak_then_rand_augment():
    x = pictures()
    views = ImageViews(pad=4, magnitude=9).fit(x)
    generator = seeded(3)
    dy, dx, mirrored = views._draw_crops(64, generator)
    cropped = crop_flip(torch.nn.functional.pad(x, (4,) * 4), 4, dy, dx, mirrored)
    ops, signs = draw(64, 2, generator)
    assert_close(views.strong(x, seeded(3)), views.plain(rand_augment(cropped, ops, signs, 9)))


@pytest.mark.parametrize("method", ["plain", "weak", "strong"])
def test_blocks_give_the_same(method, monkeypatch):
    x = pictures()
    view = getattr(ImageViews().fit(x), method)
    arguments = () if method == "plain" else (seeded(),)
    whole = view(x, *arguments)
    monkeypatch.setattr("noisyflywheel.views.images._BLOCK", 7 * x[0].numel())
    arguments = () if method == "plain" else (seeded(),)
    assert_close(view(x, *arguments), whole, rtol=0, atol=0)


@pytest.mark.parametrize("method", ["plain", "weak", "strong"])
def test_no_pictures(method):
    assert getattr(ImageViews().fit(pictures()), method)(pictures()[:0]).shape == (0, 3, 16, 12)


def test_strong_of_float_pictures_is_that_of_their_8_bit_copies():
    x = pictures()
    x[0, 0, 0, :2] = torch.tensor([0, 255])
    scaled = x.float() / 255 * 4 - 2
    small, large = ImageViews().fit(x), ImageViews().fit(scaled)
    assert_close(large.strong(scaled, seeded()), small.strong(x, seeded()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["plain", "weak", "strong"])
def test_kinds_of_pictures(method, kind, channels):
    x = pictures(channels=channels, size=(8, 8)).to(kind)
    views = ImageViews().fit(x)
    out = getattr(views, method)(x)
    assert out.shape == x.shape and out.dtype == torch.float32 and torch.isfinite(out).all()


def test_constant_float_pictures_stay_finite():
    x = torch.full((4, 1, 8, 8), 3.0)
    assert torch.isfinite(ImageViews().fit(x).strong(x)).all()


def test_pictures_in_another_memory_order_give_the_same():
    x = pictures()
    views = ImageViews().fit(x)
    turned = x.to(memory_format=torch.channels_last)
    assert_close(views.strong(turned, seeded()), views.strong(x, seeded()), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["weak", "strong"])
def test_seeds(method):
    x = pictures()
    view = getattr(ImageViews().fit(x), method)
    state = torch.get_rng_state()
    first = view(x, seeded())
    assert_close(first, view(x, seeded()), rtol=0, atol=0)
    assert (first != view(x, seeded(1))).any()
    assert_close(torch.get_rng_state(), state)


# errors


def test_clone_and_parameters():
    views = clone(ImageViews(magnitude=5).fit(pictures()))
    assert views.get_params()["magnitude"] == 5 and not hasattr(views, "mean_")


def test_views_must_be_fitted():
    with pytest.raises(NotFittedError):
        ImageViews().weak(pictures())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"pad": -1}, ValueError, "pad must be >= 0, got -1"),
        ({"pad": "4"}, ValueError, "pad must be 'auto' or an integer >= 0, got '4'"),
        ({"n_ops": 1.5}, TypeError, "n_ops must be an integer, got 1.5"),
        ({"magnitude": 31}, ValueError, "magnitude must be >= 0 and <= 30, got 31"),
        ({"mean": [0.5]}, ValueError, "mean must have one value for each of 3 channels"),
        ({"std": [1.0, 1.0, 0.0]}, ValueError, "std must be > 0"),
        ({"mean": [127, 120, 110]}, ValueError, "mean of 8-bit pictures is in \\[0, 1\\].*: divide it by 255"),
        ({"std": [0.2, 0.2, 58]}, ValueError, "std of 8-bit pictures is in \\[0, 1\\]"),
        ({"mean": ["a", "b", "c"]}, ValueError, "mean must be numbers"),
        ({"mean": [0.5, 0.5, float("nan")]}, ValueError, "mean must be finite"),
        ({"std": [0.2, 0.2, float("inf")]}, ValueError, "std must be finite"),
        ({"flip": "no"}, TypeError, "flip must be True or False, got 'no'"),
    ],
)
def test_bad_parameters(settings, error, message):
    with pytest.raises(error, match=message):
        ImageViews(**settings).fit(pictures())


@pytest.mark.parametrize(
    ("factor", "mean", "std"), [(255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), (1, [124, 116, 104], [58, 57, 57])]
)
def test_means_in_other_units_than_float_pictures_are_noticed(factor, mean, std):
    x = pictures().float() / 255
    with pytest.warns(UserWarning, match=f"other units than the pictures, whose values are from 0 to {factor}: give"):
        ImageViews(mean=mean, std=std).fit(x * factor)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageViews(mean=mean, std=std).fit(x * (255 if factor == 1 else 1))
        ImageViews(mean=[0] * 3, std=[1] * 3).fit(x * factor)


def test_bad_pictures():
    views = ImageViews().fit(pictures())
    with pytest.raises(ValueError, match="shape \\(B, 3, H, W\\), got \\(64, 1, 16, 12\\)"):
        views.weak(pictures(channels=1))
    with pytest.raises(ValueError, match="fitted on uint8 pictures, got torch.float32"):
        views.weak(pictures().float())
    with pytest.raises(ValueError, match="shape \\(n, C, H, W\\), got \\(4, 8\\)"):
        ImageViews().fit(torch.zeros(4, 8))
    with pytest.raises(ValueError, match="NaN"):
        ImageViews().fit(torch.full((2, 1, 4, 4), torch.nan))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_generators_serve_too():
    x = pictures().cuda()
    views = ImageViews().fit(x)
    one, two = (torch.Generator("cuda").manual_seed(3) for _ in range(2))
    assert_close(views.strong(x, one), views.strong(x, two), rtol=0, atol=0)
    assert (views.weak(x, one) != views.weak(x, one)).any()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_without_waiting():
    x = pictures()
    views = ImageViews().fit(x)
    device_x = x.cuda()
    views.strong(device_x, seeded())
    torch.cuda.set_sync_debug_mode("error")
    try:
        outputs = [views.plain(device_x), views.weak(device_x, seeded()), views.strong(device_x, seeded())]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = [views.plain(x), views.weak(x, seeded()), views.strong(x, seeded())]
    for out, reference in zip(outputs, expected, strict=True):
        off = (out.cpu() - reference).abs() > 1e-4
        assert off.float().mean() < 1e-3
