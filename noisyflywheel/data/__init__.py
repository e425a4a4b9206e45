"""Rows: where they come from, and which of them a step sees."""

from noisyflywheel.data.batches import balanced_rows, batches, rows_a_batch
from noisyflywheel.data.devices import float64_device, on_host
from noisyflywheel.data.masked import without_mask
from noisyflywheel.data.reading import as_row, map_items
from noisyflywheel.data.source import Source, opened
from noisyflywheel.data.sources import CHANNELS, ArraySource, DatasetSource, channels_first, to_tensor

__all__ = [
    "CHANNELS",
    "ArraySource",
    "DatasetSource",
    "Source",
    "as_row",
    "balanced_rows",
    "batches",
    "channels_first",
    "float64_device",
    "map_items",
    "on_host",
    "opened",
    "rows_a_batch",
    "to_tensor",
    "without_mask",
]
