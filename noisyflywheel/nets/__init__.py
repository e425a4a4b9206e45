"""The skorch side: preparing the users' nets and driving them batch by batch."""

from noisyflywheel.nets.prepare import check_output, prepare_net
from noisyflywheel.nets.trainer import Batch, Trainer

__all__ = ["Batch", "Trainer", "check_output", "prepare_net"]
