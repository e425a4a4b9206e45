"""Which class is mistaken for which: the published maps of CIFAR-10 and CIFAR-100, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisyflywheel.noise.codec import Codes, values

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

CIFAR10_CONFUSIONS = {
    "truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat",
}  # fmt: skip

# The five fine labels of each of CIFAR-100's twenty superclasses, in the order of the coarse labels.
CIFAR100_SUPERCLASSES = (
    (4, 30, 55, 72, 95), (1, 32, 67, 73, 91), (54, 62, 70, 82, 92), (9, 10, 16, 28, 61),
    (0, 51, 53, 57, 83), (22, 39, 40, 86, 87), (5, 20, 25, 84, 94), (6, 7, 14, 18, 24),
    (3, 42, 43, 88, 97), (12, 17, 37, 68, 76), (23, 33, 49, 60, 71), (15, 19, 21, 31, 38),
    (34, 63, 64, 66, 75), (26, 45, 77, 79, 99), (2, 11, 35, 46, 98), (27, 29, 44, 78, 93),
    (36, 50, 65, 74, 80), (47, 52, 56, 59, 96), (8, 13, 48, 58, 90), (41, 69, 81, 85, 89),
)  # fmt: skip

MAP_SIZES = {"cifar10": 10, "cifar100": 100, "cifar100_superclass": 100}


def size_of_map(mapping: str) -> int:
    """Return the number of classes of a named map; another name is a ValueError."""
    if mapping not in MAP_SIZES:
        raise ValueError(f"mapping must be one of {sorted(MAP_SIZES)} or a dict, got {mapping!r}")
    return MAP_SIZES[mapping]


def default_labels(mapping: str, column: NDArray[Any]) -> Sequence[Any] | None:
    """Give all classes of a named map's data set, so that a subset without some class keeps its numbering.

    Integer labels mean 0..K-1; other labels mean CIFAR-10's class names, or for CIFAR-100 (None) whatever
    hundred names the column holds.
    """
    size = size_of_map(mapping)
    if column.dtype.kind in "iu":
        return list(range(size))
    return CIFAR10_CLASSES if mapping == "cifar10" else None


def named_targets(mapping: str, classes: NDArray[Any]) -> Codes:
    """Return the class number (K,) that each class of a published map turns into.

    Numbers 0..K-1 and CIFAR-10's names are known in any order; other classes are taken in the map's.

    Raises
    ------
    ValueError
        For another number of classes than the map's, or a name that is none.
    """
    size = size_of_map(mapping)
    if len(classes) != size:
        raise ValueError(f"mapping {mapping!r} needs {size} classes, got {len(classes)}")
    if mapping == "cifar10":
        number = {name: k for k, name in enumerate(CIFAR10_CLASSES)}
        target = np.array([number[CIFAR10_CONFUSIONS.get(name, name)] for name in CIFAR10_CLASSES])
    else:
        blocks = np.arange(100).reshape(20, 5) if mapping == "cifar100" else np.array(CIFAR100_SUPERCLASSES)
        target = cyclic_targets(blocks)
    return reordered(target, classes.tolist())


def reordered(target: Codes, classes: list[Any]) -> Codes:
    """Return targets (K,) in the order of `classes`, where these are the numbers 0..K-1 or CIFAR-10's names."""
    for known in (list(range(len(target))), list(CIFAR10_CLASSES)):
        if set(classes) == set(known):
            in_map = [known.index(label) for label in classes]
            return np.argsort(in_map)[target[in_map]]
    return target


def cyclic_targets(blocks: Codes) -> Codes:
    """Return, for blocks of classes (B, S) that cover 0..B*S-1, each class's next in its block, cyclic."""
    target = np.empty(blocks.size, dtype=np.int64)
    target[blocks] = np.roll(blocks, -1, axis=1)
    return target


def user_targets(mapping: Mapping[Any, Any], classes: NDArray[Any]) -> Codes:
    """Return the class number (K,) of each class's entry in a user's map; classes without entry stay.

    Raises
    ------
    ValueError
        If the map names a class that is not among `classes`.
    """
    names = values(classes)
    number = {name: k for k, name in enumerate(names)}
    asked = [label for pair in mapping.items() for label in pair]
    known = [_as_class(label, classes.dtype.kind) for label in asked]
    unknown = [label for label, name in zip(asked, known, strict=True) if name not in number]
    if unknown:
        raise ValueError(f"mapping holds labels that are not among the classes: {unknown[:5]}; see `labels`")
    turned = dict(zip(known[::2], known[1::2], strict=True))
    return np.array([number[turned.get(name, name)] for name in names], dtype=np.int64)


def _as_class(label: Any, kind: str) -> Any:
    """A label of a user's map as `values` has the classes, of which `kind` is numpy's letter."""
    if kind not in "mM":
        return label
    alone = np.empty(1, dtype=object)
    alone[0] = label
    return values(alone, kind)[0]
