"""Networks that the flywheel can train: logits from ``forward``, split into features and head.

Every module takes ``n_classes`` and its input width (``n_features`` or ``in_channels``), returns logits (n, K) from
``forward(x)``, and offers ``forward_features(x)`` (n, d), ``forward_head(features)`` (n, K) and ``feature_dim`` = d.
"""

from noisyflywheel.backbones.members import FoldedMLP
from noisyflywheel.backbones.mlp import MLP
from noisyflywheel.backbones.pretrained import inception_resnet_v2, resnet50
from noisyflywheel.backbones.resnet import PreActResNet18, SmallResNet

__all__ = ["MLP", "FoldedMLP", "PreActResNet18", "SmallResNet", "inception_resnet_v2", "resnet50"]
