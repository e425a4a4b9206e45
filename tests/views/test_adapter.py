"""View objects of the caller's, and none."""

import numpy as np
import pytest
import torch

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

    def __init__(self, make):
        self.weak = self.strong = self.plain = make


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
