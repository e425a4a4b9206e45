"""Checkpoints and saved estimators: files that are whole or not there, checked before they are believed.

A state is one nested plain dict, written by ``torch.save`` behind a line with its SHA-256 and read with
``weights_only=True``: reading one never imports or executes anything.
"""

from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.persistence.fingerprint import data_fingerprint, fit_key, parameter_fingerprint
from noisyflywheel.persistence.folders import fit_folder
from noisyflywheel.persistence.store import has_checkpoint, load_checkpoint, save_checkpoint

__all__ = [
    "CheckpointError",
    "data_fingerprint",
    "fit_folder",
    "fit_key",
    "has_checkpoint",
    "load_checkpoint",
    "parameter_fingerprint",
    "save_checkpoint",
]
