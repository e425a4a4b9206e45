"""An image folder with one subfolder per class: its manifest and its pixels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from noisyflywheel.audit.files.table_file import open_table
from noisyflywheel.data.paths import user_path
from noisyflywheel.data.pictures import SUFFIXES, ImageReadError, in_order, read_picture

TRAINING = frozenset({"train", "training"})
SPLITS = TRAINING | {"val", "valid", "validation", "dev", "test", "testing"}
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def image_manifest(folder: str | Path, label: str = "label", encoding: str | None = None) -> pd.DataFrame:
    """Pictures of a folder with their labels.

    Parameters
    ----------
    folder : str or Path
        `folder/CLASS/…/picture.png`, or with splits `folder/train/CLASS/…/picture.png` and `folder/val/…` or
        `folder/test/…`, or Hugging Face's imagefolder: a `metadata.csv` (or .jsonl, .parquet) with `file_name` and the
        label, in the folder or in each split. Hidden files and folders are skipped.
    label : str, default "label"
        Column of the metadata that holds the label.
    encoding : str, optional
        Of the metadata; found by looking at it where not given.

    Returns
    -------
    manifest : DataFrame
        `path` below the folder, with forward slashes, and `label`; with splits also `split`. Sorted by path, or in the
        order of the metadata.

    Raises
    ------
    ValueError
        If there is no picture in a class, the name of one is not in UTF-8, or the metadata lacks a column.
    """
    root = user_path(folder)
    splits = split_folders(root)
    if metadata_file(root) is not None or not splits:
        return _one_folder(root, root, label, encoding)
    parts = [_one_folder(split, root, label, encoding).assign(split=split.name) for split in splits]
    return pd.concat(parts, ignore_index=True)


def split_folders(root: Path) -> list[Path]:
    """Subfolders that are splits: one for training and one or more others, by their names; else none."""
    found = in_order(path for path in root.iterdir() if path.is_dir() and path.name.lower() in SPLITS)
    kinds = {path.name.lower() in TRAINING for path in found}
    return found if len(kinds) == 2 else []


def metadata_file(folder: Path) -> Path | None:
    """Hugging Face's description of the pictures of a folder, if there is one."""
    return next((path for name in METADATA if (path := folder / name).is_file()), None)


def _one_folder(folder: Path, root: Path, label: str, encoding: str | None) -> pd.DataFrame:
    """Manifest of one folder, by its metadata or its subfolders; paths are below `root`."""
    described = metadata_file(folder)
    if described is not None:
        return _described(described, root, label, encoding)
    rows = [
        (path.relative_to(root).as_posix(), path.relative_to(folder).parts[0])
        for path in in_order(folder.glob("*/**/*"))
        if _is_picture(path) and _is_named(path) and not _hidden(path.relative_to(folder))
    ]
    if not rows:
        there = _other_files(folder, "**/*")
        form = ": an audit takes one file, as pandas.read_parquet(FOLDER).to_parquet(FILE) makes of a folder of them"
        about = f" (there are {there})" + form * (".parquet" in there) if there else ""
        raise ValueError(f"{folder} has no subfolders with pictures; one subfolder per class is expected{about}")
    odd = next((name for name, _ in rows if not _is_text(name)), None)
    if odd is not None:
        raise ValueError(f"the name of the picture {ascii(odd)} in {folder} is not in UTF-8: rename it")
    return pd.DataFrame(rows, columns=["path", "label"])


def _described(path: Path, root: Path, label: str, encoding: str | None) -> pd.DataFrame:
    """Manifest of the pictures that a metadata file names."""
    table = open_table(path, encoding=encoding).frame
    for name in ("file_name", label):
        if name not in table.columns:
            raise ValueError(f"{path} has no column {name!r}; the columns are {', '.join(map(str, table.columns))}")
    below = path.parent.relative_to(root)
    paths = [(below / str(name)).as_posix() for name in table["file_name"]]
    return pd.DataFrame({"path": paths, "label": table[label]})


def left_out(folder: str | Path, manifest: pd.DataFrame) -> list[str]:
    """What `image_manifest` did not take of class folders, in words: files of other endings, folders without pictures.

    Parameters
    ----------
    folder : str or Path
    manifest : DataFrame
        As `image_manifest` lists it.
    """
    root = user_path(folder)
    if metadata_file(root) is not None:
        return []
    taken = {parent.as_posix() for name in manifest["path"] for parent in PurePosixPath(name).parents}
    notes = []
    for part in split_folders(root) or [root]:
        if metadata_file(part) is not None:
            continue
        classes = in_order(path.relative_to(root) for path in part.iterdir() if path.is_dir() and path.name[0] != ".")
        notes += [f"no pictures in {name.as_posix()}" for name in classes if name.as_posix() not in taken]
        if others := _other_files(part, "*/**/*"):
            notes.append(f"not taken for pictures{'' if part == root else f' in {part.name}'}: {others}")
    return notes


def _other_files(folder: Path, pattern: str) -> str:
    """Number of the files of a folder that are no pictures, by their endings."""
    counts = Counter(
        path.suffix.lower() or "without ending"
        for path in folder.glob(pattern)
        if not _is_picture(path) and path.is_file() and not _hidden(path.relative_to(folder))
    )
    return ", ".join(f"{count:,} {ending}" for ending, count in sorted(counts.items()))


def _is_picture(path: Path) -> bool:
    """Whether a path has the ending of a picture."""
    return path.suffix.lower() in SUFFIXES


def _is_text(name: str) -> bool:
    """Whether the name of a file can be written in UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_named(path: Path) -> bool:
    """Whether a path is a file, or a link to one that is gone: that is listed as unreadable."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _hidden(path: Path) -> bool:
    """Whether a part of the path starts with a dot."""
    return any(part.startswith(".") for part in path.parts)


def read_pixels(path: Path, size: int) -> NDArray[np.uint8]:
    """One picture as (size, size, 3): turned upright, its middle square, resized.

    Raises
    ------
    ImageReadError
        If the file is truncated or no picture.
    """
    return np.asarray(ImageOps.fit(read_picture(path, upright=True), (size, size), Image.Resampling.BILINEAR))


def load_folder(
    folder: str | Path, size: int = 32, manifest: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, NDArray[np.uint8], list[tuple[str, str]]]:
    """Manifest and pixels of a folder; files that cannot be read are listed and left out.

    Parameters
    ----------
    folder : str or Path
    size : int, default 32
        Side of the pictures in pixels.
    manifest : DataFrame, optional
        The files to read, as `image_manifest` lists them.

    Returns
    -------
    manifest : DataFrame of n rows
        The readable files.
    pixels : uint8 ndarray of shape (n, size, size, 3)
    unreadable : list of (path, reason)

    Raises
    ------
    ValueError
        If no file can be read.
    """
    manifest = image_manifest(folder) if manifest is None else manifest
    pixels, unreadable, kept = [], [], []
    for row, name in enumerate(manifest["path"]):
        try:
            pixels.append(read_pixels(user_path(folder) / name, size))
            kept.append(row)
        except ImageReadError as error:
            unreadable.append((name, error.reason))
    if not pixels:
        raise ValueError(f"none of the {len(manifest)} pictures in {folder} can be read")
    return manifest.iloc[kept].reset_index(drop=True), np.stack(pixels), unreadable
