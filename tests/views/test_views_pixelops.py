"""RandAugment's pixel operations: by hand, and bit by bit against torchvision's, picture by picture."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms import functional as tv

from noisyflywheel.views import pixelops as P


def pictures(channels=3, size=(13, 17), n=6):
    """Random pictures, among them a dark one, a flat one, one of few values, and black and white."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (n, channels, *size), generator=generator, dtype=torch.uint8)
    x[1] //= 5
    x[2] = 77
    x[3] = x[3] // 64 * 64
    x[4] = (x[4] > 127) * torch.tensor(255, dtype=torch.uint8)
    return x


def ratio(r, n):
    """The same shares for n pictures."""
    return torch.full((n, 1, 1, 1), r), torch.full((n, 1, 1, 1), 1 - r)


def one_by_one(function, x, *arguments):
    return torch.stack([function(picture, *arguments) for picture in x])


@pytest.mark.parametrize("size", [(13, 17), (32, 32), (3, 3), (64, 48)])
@pytest.mark.parametrize("channels", [1, 3])
def test_histogram_operations_equal_torchvision(channels, size):
    x = pictures(channels, size)
    assert_close(P.auto_contrast(x), one_by_one(tv.autocontrast, x), rtol=0, atol=0)
    assert_close(P.equalize(x), one_by_one(tv.equalize, x), rtol=0, atol=0)


@pytest.mark.parametrize("threshold", [0, 1, 128, 170, 255])
def test_solarize_equals_torchvision(threshold):
    x = pictures()
    assert_close(P.solarize(x, threshold), one_by_one(tv.solarize, x, threshold), rtol=0, atol=0)


@pytest.mark.parametrize("bits", range(1, 9))
def test_posterize_equals_torchvision(bits):
    x = pictures()
    assert_close(P.posterize(x, bits), one_by_one(tv.posterize, x, bits), rtol=0, atol=0)


@pytest.mark.parametrize("r", [0.1, 0.7, 1.0, 1.3, 1.9])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (P.color, tv.adjust_saturation),
        (P.contrast, tv.adjust_contrast),
        (P.brightness, tv.adjust_brightness),
        (P.sharpness, tv.adjust_sharpness),
    ],
)
def test_blends_equal_torchvision(ours, theirs, channels, r):
    x = pictures(channels)
    assert_close(ours(x, ratio(r, len(x))), one_by_one(theirs, x, r), rtol=0, atol=0)


def test_auto_contrast_by_hand():
    x = torch.tensor([[[[10, 20], [30, 60]]]], dtype=torch.uint8)
    assert P.auto_contrast(x).flatten().tolist() == [0, 51, 102, 255]


def test_equalize_by_hand():
    x = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    x[..., 16:, :] = 9  # 512 pixels below the brightest: step 2; the brightest becomes (512 + 1) // 2 = 256 -> 255
    x[..., 24:, :] = 200  # now 768 below: step 3; 9 -> (512 + 1) // 3 = 171, 200 -> (768 + 1) // 3 -> 255
    assert P.equalize(x).unique().tolist() == [0, 171, 255]


def test_blend_by_hand():
    x = torch.tensor([[[[100, 250]]]], dtype=torch.uint8)
    assert P.blend(x, torch.full((1, 1, 1, 1), 40.0), ratio(1.5, 1)).flatten().tolist() == [130, 255]


def test_each_picture_is_blended_with_its_own_ratio():
    x = pictures()[:2]
    shares = (torch.tensor([0.5, 1.0]).view(2, 1, 1, 1), torch.tensor([0.5, 0.0]).view(2, 1, 1, 1))
    out = P.brightness(x, shares)
    assert_close(out[0], x[0] // 2)
    assert_close(out[1], x[1])


def test_four_channels_pass():
    x = pictures(4)
    r = ratio(1.3, len(x))
    assert P.color(x, r) is x
    for out in (P.contrast(x, r), P.sharpness(x, r), P.auto_contrast(x), P.equalize(x)):
        assert out.shape == x.shape and out.dtype == torch.uint8


def test_sharpness_leaves_tiny_pictures():
    x = pictures(3, (2, 9))
    assert P.sharpness(x, ratio(1.9, len(x))) is x


def test_sample_by_hand():
    x = torch.tensor([[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]], dtype=torch.uint8)
    source = torch.tensor([[3, 2, 1, 0], [0, 0, 0, 0]])
    inside = torch.tensor([[1, 1, 0, 1], [1, 0, 1, 1]], dtype=torch.uint8)
    assert P.sample(x, source, inside).flatten(1).tolist() == [[4, 3, 0, 1], [5, 0, 5, 5]]
