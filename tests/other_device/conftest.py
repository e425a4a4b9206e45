"""The stand-in for a CUDA device, and data that fits of a second learn."""

import pytest
import torch
from stand_in import StandIn


@pytest.fixture
def stand_in():
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is there: tests/cuda has it")
    with StandIn() as device:
        yield device
