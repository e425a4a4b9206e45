"""The benchmarks of Sec. 4.2 from their published files, and folders of your own pictures.

Nothing is downloaded unless asked for, and nothing that is read can run code: archives are read without
pickle, label files with ``weights_only=True``, CIFAR's batches by torchvision after it has checked their
digests.
"""

from noisyflywheel.datasets.base import BadImagesError, BadImagesWarning, ImageFiles, NoisyData
from noisyflywheel.datasets.cifar import load_cifar10, load_cifar100
from noisyflywheel.datasets.folders import load_image_folder, load_tiny_imagenet
from noisyflywheel.datasets.labelfiles import load_label_file
from noisyflywheel.datasets.lists import load_clothing1m, load_webvision

__all__ = [
    "BadImagesError",
    "BadImagesWarning",
    "ImageFiles",
    "NoisyData",
    "load_cifar10",
    "load_cifar100",
    "load_clothing1m",
    "load_image_folder",
    "load_label_file",
    "load_tiny_imagenet",
    "load_webvision",
]
