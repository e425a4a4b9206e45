"""A Dataset of given items, for tests of what items may be."""

from torch.utils.data import Dataset


class Items(Dataset):
    """Items as they are given, one a row."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]
