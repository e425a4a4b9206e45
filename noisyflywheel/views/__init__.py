"""Views of a batch: weak and strong augmentation for vectors and images, and MixUp."""

from noisyflywheel.views.mixup import mixup
from noisyflywheel.views.vectors import VectorViews, feature_scale

__all__ = ["VectorViews", "feature_scale", "mixup"]
