"""Network modules: inputs to logits, with ``forward_features`` and ``forward_head``."""

from noisyflywheel.backbones.mlp import MLP

__all__ = ["MLP"]
