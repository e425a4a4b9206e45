"""Checkpoints and saved estimators: files that are whole or not there, checked before they are believed."""

from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.persistence.fingerprint import data_fingerprint, fit_key, parameter_fingerprint, state_fingerprint
from noisyflywheel.persistence.store import fit_folder, has_checkpoint, load_checkpoint, save_checkpoint

__all__ = [
    "CheckpointError",
    "data_fingerprint",
    "fit_folder",
    "fit_key",
    "has_checkpoint",
    "load_checkpoint",
    "parameter_fingerprint",
    "save_checkpoint",
    "state_fingerprint",
]
