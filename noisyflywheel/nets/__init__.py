"""The skorch side: preparing the users' nets and driving them batch by batch."""

from noisyflywheel.nets.check import check_forward, check_output
from noisyflywheel.nets.prepare import prepare_net
from noisyflywheel.nets.trainer import Batch, Trainer

__all__ = ["Batch", "Trainer", "check_forward", "check_output", "prepare_net"]
