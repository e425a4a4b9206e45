"""Checkpoints and saved estimators: files that are whole or not there, checked before they are believed.

Tensors lie in safetensors, arrays in npz without pickle, the rest in a JSON manifest with the SHA-256 of each
file. Reading one never unpickles, imports or executes anything.
"""

from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.persistence.fingerprint import data_fingerprint, fit_key, parameter_fingerprint
from noisyflywheel.persistence.slots import fit_folder
from noisyflywheel.persistence.store import Checkpoint, has_checkpoint, load_checkpoint, save_checkpoint
from noisyflywheel.persistence.tree import Flat, flatten, unflatten

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Flat",
    "data_fingerprint",
    "fit_folder",
    "fit_key",
    "flatten",
    "has_checkpoint",
    "load_checkpoint",
    "parameter_fingerprint",
    "save_checkpoint",
    "unflatten",
]
