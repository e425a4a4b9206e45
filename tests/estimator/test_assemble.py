"""What depends on the machine in the parts of a fit."""

import torch

from noisyflywheel.estimator.assemble import bf16_pays


class NoOperators:
    """`torch.ops.mkldnn` where torch was built without oneDNN, as for Apple silicon."""

    def __getattr__(self, name):
        raise AttributeError(f"'_OpNamespace' 'mkldnn' object has no attribute '{name}'")


def test_no_bf16_where_torch_has_no_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", NoOperators())
    assert not bf16_pays(torch.device("cpu"))
    assert not bf16_pays(torch.device("mps"))
