"""RandAugment per picture: every operation against torchvision's, and the grouping against one by one."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

from noisyflywheel.views import randaugment as R

SIGNED = set(R.OPS[5:])


def pictures(n, size=(32, 32), channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, *size), generator=generator, dtype=torch.uint8)


def torchvision_op(picture, name, minus, magnitude):
    """Apply one operation as torchvision's RandAugment would, had it drawn it."""
    levels, _ = RandAugment()._augmentation_space(31, tuple(picture.shape[1:]))[name]
    level = float(levels[magnitude]) if levels.ndim else 0.0
    level = -level if minus and name in SIGNED else level
    return _apply_op(picture, name, level, InterpolationMode.NEAREST, None)


def test_the_fourteen_operations_are_torchvisions():
    assert set(R.OPS) == set(RandAugment()._augmentation_space(31, (32, 32))) and len(R.OPS) == 14


@pytest.mark.parametrize("magnitude", [0, 1, 9, 10, 20, 30])
@pytest.mark.parametrize("minus", [0, 1])
@pytest.mark.parametrize("name", R.OPS[:9])
def test_pixel_operations_equal_torchvision(name, minus, magnitude):
    x = pictures(4)
    ours = R.pixel_op(name, x, torch.full((4,), minus), magnitude)
    theirs = torch.stack([torchvision_op(picture, name, minus, magnitude) for picture in x])
    assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (9, 14)])
@pytest.mark.parametrize("magnitude", [0, 9, 10, 30])
@pytest.mark.parametrize("minus", [0, 1])
@pytest.mark.parametrize("name", R.GEOMETRIC)
def test_geometric_operations_equal_torchvision(name, minus, magnitude, size):
    """Nearest neighbours may differ only where a point falls between two pixels to float32 precision."""
    x = pictures(2, size)
    which = torch.full((2,), 2 * R.GEOMETRIC.index(name) + minus)
    theirs = torch.stack([torchvision_op(picture, name, minus, magnitude) for picture in x])
    differs = (R.geometric_op(x, which, magnitude) != theirs).float().mean()
    assert differs <= (0.005 if name == "Rotate" else 0.0)


def test_translation_by_hand():
    source, inside = R.geometric_tables(1, 331, 30)
    right = 2 * R.GEOMETRIC.index("TranslateX")
    assert inside[right].sum() == 331 - 150 and source[right, 150] == 0
    assert inside[right + 1].sum() == 331 - 150 and source[right + 1, 0] == 150


def test_rotation_by_a_right_angle_by_hand():
    """Three times 30 degrees: the same as rot90, which turns counter-clockwise too."""
    y, x = torch.arange(6, dtype=torch.float64)[:, None] + 0.5, torch.arange(6, dtype=torch.float64) + 0.5
    xs, ys = R.source_point("Rotate", x[None], y, 3.0)
    picture = torch.arange(36).view(6, 6)
    assert_close(picture[(ys - 0.5).round().long(), (xs - 0.5).round().long()], torch.rot90(picture))


def test_no_magnitude_no_change_of_geometry():
    x = pictures(10)
    assert_close(R.geometric_op(x, torch.arange(10), 0), x)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grouped_equals_one_by_one(channels):
    x = pictures(100, (12, 10), channels)
    ops, signs = R.draw(100, 2, torch.Generator().manual_seed(1))
    grouped = R.rand_augment(x, ops, signs, 10)
    alone = [R.rand_augment(x[i : i + 1], ops[:, i : i + 1], signs[:, i : i + 1], 10) for i in range(100)]
    assert_close(grouped, torch.cat(alone), rtol=0, atol=0)


def test_pictures_and_draws_are_not_changed():
    x = pictures(50)
    ops, signs = R.draw(50, 3, torch.Generator().manual_seed(1))
    before = x.clone(), ops.clone(), signs.clone()
    R.rand_augment(x, ops, signs, 30)
    for now, then in zip((x, ops, signs), before, strict=True):
        assert_close(now, then, rtol=0, atol=0)


def test_host_generator_of_a_device_generator():
    """The device generator's seed and offset decide, and its offset moves on."""

    class OnDevice:
        device = torch.device("cuda", 0)

        def __init__(self, seed):
            self.seed, self.offset = seed, 0

        def initial_seed(self):
            return self.seed

        def get_offset(self):
            return self.offset

        def set_offset(self, offset):
            self.offset = offset

    def draws(generator):
        return [int(torch.randint(2**60, (1,), generator=R.host_generator(generator))) for _ in range(3)]

    first = draws(OnDevice(7))
    assert len(set(first)) == 3 and first == draws(OnDevice(7)) != draws(OnDevice(8))
    cpu = torch.Generator()
    assert R.host_generator(cpu) is cpu and R.host_generator(None) is None


def test_every_operation_is_drawn_about_as_often():
    ops, signs = R.draw(14000, 1, torch.Generator().manual_seed(0))
    counts = torch.bincount(ops[0], minlength=14)
    assert counts.min() > 850 and counts.max() < 1150
    assert abs(signs.float().mean() - 0.5) < 0.02


def test_no_operation_is_the_identity():
    x = pictures(3)
    ops, signs = R.draw(3, 0, None)
    assert R.rand_augment(x, ops, signs, 10) is x
