"""The device of a test: the CPU, and a CUDA device where there is one (marked `cuda`)."""

import pytest
import torch
from made import CUDA


@pytest.fixture(params=["cpu", CUDA])
def device(request):
    return torch.device(request.param)
