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
