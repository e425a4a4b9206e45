"""Checkpoints and saved estimators: files that are whole or not there, checked before they are believed.

Tensors lie in safetensors, arrays in npz without pickle, the rest in a JSON manifest with the SHA-256 of each
file. Reading one never unpickles, imports or executes anything.
"""

from noisyflywheel.checkpoint.fingerprint import data_fingerprint, fit_key, parameter_fingerprint
from noisyflywheel.checkpoint.slots import fit_folder
from noisyflywheel.checkpoint.store import Checkpoint, has_checkpoint, load_checkpoint, save_checkpoint
from noisyflywheel.checkpoint.tree import Flat, flatten, unflatten
from noisyflywheel.exceptions import CheckpointError

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
