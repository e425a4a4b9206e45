"""Views: the weak and strong random copies of a batch that the auxiliary network trains on (Sec. 4.1)."""

from noisyflywheel.views.images import ImageViews

__all__ = ["ImageViews"]
