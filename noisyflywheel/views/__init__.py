"""Views of a batch: weak and strong augmentation for vectors and images (Sec. 4.1), and MixUp."""

from noisyflywheel.views.images import ImageViews
from noisyflywheel.views.mixup import mixup
from noisyflywheel.views.vectors import VectorViews, feature_scale

__all__ = ["ImageViews", "VectorViews", "feature_scale", "mixup"]
