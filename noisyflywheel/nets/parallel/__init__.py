"""One fit on several processes, each with the same rows and state: shared are training steps and predictions."""

from noisyflywheel.nets.parallel.join import joined
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks
from noisyflywheel.nets.parallel.training import SharedTraining

__all__ = ["ALONE", "Ranks", "SharedTraining", "joined"]
