"""Label noise as the literature defines it: seeded generators, and the transition matrix they leave.

Every generator takes labels of any kind scikit-learn knows (ints with gaps, strings, bools, pandas objects)
and returns noisy labels of the same kind; a Series keeps its index.  Rows of every matrix are true classes,
columns are given classes.
"""

from noisyflywheel.noise.codec import NoiseInfo
from noisyflywheel.noise.generators import asymmetric, from_matrix, symmetric
from noisyflywheel.noise.instance import instance_dependent
from noisyflywheel.noise.matrix import transition_matrix

__all__ = ["NoiseInfo", "asymmetric", "from_matrix", "instance_dependent", "symmetric", "transition_matrix"]
