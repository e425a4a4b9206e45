"""View objects of the caller's, and none."""

import numpy as np
import pytest
import torch

from noisyflywheel.views import ImageViews
from noisyflywheel.views.adapter import ViewAdapter


class Shifted:
    """Views whose fit returns nothing."""

    def fit(self, x):
        self.shift = float(x.max())

    def weak(self, x):
        return x + self.shift

    strong = weak


def test_a_fit_that_returns_nothing_is_a_fit():
    adapter = ViewAdapter(Shifted(), torch.tensor([[1.0], [3.0]]))
    assert adapter.weak(torch.zeros(1, 1), torch.Generator()).tolist() == [[3.0]]


@pytest.mark.parametrize(("fitted", "later"), [(torch.uint8, torch.float32), (torch.float32, torch.uint8)])
def test_pixels_of_another_scale_are_refused_without_views(fitted, later):
    pictures = torch.from_numpy(np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4))
    adapter = ViewAdapter(None, pictures.to(fitted))
    assert adapter.plain(pictures.to(fitted)).max() == (31 / 255 if fitted == torch.uint8 else 31)
    with pytest.raises(ValueError, match="their scales differ"):
        adapter.plain(pictures.to(later))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(2, 4), (2, 1, 2, 2)])
def test_only_8_bit_pictures_are_divided(dtype, shape):
    rows = torch.arange(8).reshape(shape).to(dtype)
    pixels = dtype == torch.uint8 and len(shape) == 4
    assert torch.equal(ViewAdapter(None, rows).plain(rows), rows.float() / (255 if pixels else 1))


class Returning:
    """Views that return what a function makes of the rows."""

    def __init__(self, make, **others):
        self.weak = self.strong = self.plain = make
        vars(self).update(others)


class WithoutPlain:
    """Views as most are: by two functions."""

    def __init__(self, weak, strong=None):
        self.weak, self.strong = weak, strong or weak


PICTURES = torch.from_numpy(np.random.default_rng(0).integers(256, size=(40, 3, 4, 4), dtype=np.uint8))


def noisy(x):
    return x + torch.randn(x.shape)


def by_255(x):
    return x.float() / 255


@pytest.mark.parametrize(
    ("views", "words"),
    [
        (
            WithoutPlain(noisy),
            r"weak returns numbers up to 2\d\d .* which predict takes, divided by 255, .* up to 1:",
        ),
        (WithoutPlain(lambda x: x.flip(-1)), "weak returns numbers up to 255 .* Divide by 255 in weak and strong"),
        (WithoutPlain(by_255, noisy), r"strong returns numbers up to 2\d\d"),
        (Returning(by_255, plain=noisy), r"weak returns numbers up to 1 .* of which plain returns numbers up to 2\d\d"),
    ],
)
def test_views_of_8_bit_pictures_on_another_scale_are_refused(views, words):
    """The nets learnt from 0 to 255 and predicted from 0 to 1: one class for all, without a word."""
    with pytest.raises(ValueError, match=f"^views: {words}"):
        ViewAdapter(views, PICTURES).check_scale(PICTURES, PICTURES.device)


@pytest.mark.parametrize(
    ("views", "x"),
    [
        (WithoutPlain(by_255), PICTURES),
        (WithoutPlain(lambda x: noisy(by_255(x))), PICTURES),
        (WithoutPlain(lambda x: (by_255(x) - 0.5) / 0.2), PICTURES),
        (Returning(lambda x: x.float() - 128), PICTURES),
        (WithoutPlain(by_255, lambda x: torch.zeros(x.shape)), PICTURES),
        (WithoutPlain(by_255), torch.zeros_like(PICTURES)),
        (WithoutPlain(noisy), PICTURES.float()),
        (WithoutPlain(noisy), PICTURES.flatten(1)),
        (ImageViews(), PICTURES),
        (None, PICTURES),
    ],
)
def test_views_on_one_scale_are_taken(views, x):
    ViewAdapter(views, x).check_scale(x, x.device)


def test_looking_at_the_scale_leaves_rows_and_views_as_they_are():
    class Counting:
        n = 0

        def weak(self, x):
            self.n += 1
            return x.float().mul_(1 / 255) if self.n else x.zero_()

        strong = weak

    adapter, x = ViewAdapter(Counting(), PICTURES), PICTURES.clone()
    adapter.check_scale(x, x.device)
    assert adapter.views.n == 0 and torch.equal(x, PICTURES)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64])
def test_views_have_the_type_of_the_plain_rows(dtype):
    """float64, as numpy makes it, ended in an error of torch about types of m1 and m2."""
    x, generator = torch.ones(3, 4), torch.Generator()
    adapter = ViewAdapter(WithoutPlain(lambda x: x.to(dtype)), x)
    assert adapter.weak(x, generator).dtype == adapter.strong(x, generator).dtype == torch.float32
    own = ViewAdapter(Returning(lambda x: x.to(dtype), plain=lambda x: x.double()), x)  # for a net of float64
    assert own.weak(x, generator).dtype == torch.float64


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: x.numpy(), TypeError, "of the views must return a Tensor, got ndarray"),
        (lambda x: (x, x), TypeError, "of the views must return a Tensor, got tuple"),
        (lambda x: x[:-1], ValueError, r"of the views returns a tensor of shape \(2, 4\) for 3 rows"),
        (lambda x: x.sum(), ValueError, r"of the views returns a tensor of shape \(\) for 3 rows"),
    ],
)
def test_what_is_no_view_of_the_rows_is_refused(make, error, words):
    adapter, x = ViewAdapter(None, torch.ones(3, 4)), torch.ones(3, 4)
    adapter.views = Returning(make)
    generator = torch.Generator()
    for name, args in (("plain", (x,)), ("weak", (x, generator)), ("strong", (x, generator))):
        with pytest.raises(error, match=f"{name} {words}"):
            getattr(adapter, name)(*args)
