"""The device of a test: the CPU, and a CUDA device where there is one (marked `cuda`)."""

import pytest
import torch

NEEDED = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NEEDED)])
def device(request):
    return torch.device(request.param)
