"""Numbers as people write them: decimal commas, thousands' separators, units, signs."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

NUMBERS = (int, float, np.number, Decimal)
DURATIONS = (timedelta, np.timedelta64)
TRUTH = {"true": 1.0, "false": 0.0}
MINUS = "\u2212"
UNITS = re.compile(r"[%€$£¥₹]|\b(?:EUR|USD|GBP|CHF|JPY)\b")
BLANKS = re.compile(r"(?<!\d){0}|{0}(?!\d)|(?<=\d){0}(?=\d{{3}}(?!\d))".format(r"[\s\u00a0\u202f'’]"))
"""Blanks and apostrophes that are no part of a number, or mark its thousands; 5'11 is no number."""
POINT = re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?")
COMMA = re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d*)(?:,\d*)?(?:[eE][+-]?\d+)?")
BELOW_1000, BELOW_MILLION = re.compile(r"[+-]?\d{1,3}"), re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")

TENFOLD = 10
"""How much larger than numbers with a point, read as decimals, those without one are where points mark thousands."""


def decoded(cell: Any) -> Any:
    """Bytes, as SAS and HDF5 files have them, as the text that they stand for; any other cell as it is."""
    return cell.decode(errors="replace") if isinstance(cell, bytes) else cell


def bare_number(cell: str) -> str:
    """A cell without units, currencies and marks of thousands but points and commas, its minus that of ASCII."""
    return BLANKS.sub("", UNITS.sub("", cell)).replace(MINUS, "-")


def number_form(texts: pd.Series) -> str:
    """How a column writes numbers.

    Parameters
    ----------
    texts : Series of str

    Returns
    -------
    form : {"", "comma", "thousands"}
        "comma" where more cells are numbers with a decimal comma than with a decimal point; "thousands" where that does
        not tell, and points are the marks of thousands (`points_mark_thousands`).
    """
    bare = texts.map(bare_number)
    comma, point = (bare.map(lambda cell, form=form: bool(form.fullmatch(cell))) for form in (COMMA, POINT))
    if comma.mean() > point.mean():
        return "comma"
    return "thousands" if points_mark_thousands(bare[(comma | point) & bare.str.contains(r"\d")]) else ""


def points_mark_thousands(bare: pd.Series) -> bool:
    """Whether 567 stands beside 12.345, and no number says that the point is a decimal one.

    Parameters
    ----------
    bare : Series of str
        Numbers without units.

    Returns
    -------
    bool
        True where each is a whole number of one to three digits or has one point before its last three; there are two
        with a point and one without, other than 0; and those without are `TENFOLD` as large as decimals would be. Means
        of three whole numbers (3, 3.333, 3.667) have the same signs, but one size.
    """
    whole = bare.map(lambda cell: bool(BELOW_1000.fullmatch(cell)))
    if not bare[~whole].map(lambda cell: bool(BELOW_MILLION.fullmatch(cell))).all() or bare[~whole].nunique() < 2:
        return False
    size = bare.astype("float64").abs()
    return bool(size[whole & (size > 0)].median() >= TENFOLD * size[~whole].median())


def read_number(cell: Any, form: str) -> float:
    """A cell as a number: units, currencies and thousands' separators are left out, per cent are hundredths, durations
    are seconds.

    In a column of truth values their names are 1 and 0.
    """
    cell = decoded(cell)
    if isinstance(cell, DURATIONS):
        return pd.Timedelta(cell).total_seconds()
    if not isinstance(cell, str):
        try:
            return float(cell) if isinstance(cell, NUMBERS) else np.nan
        except (OverflowError, ValueError):  # 10 ** 400, a signalling NaN
            return np.nan
    if form == "truth" and cell.strip().lower() in TRUTH:
        return TRUTH[cell.strip().lower()]
    bare, has_comma = bare_number(cell), form in ("comma", "thousands")
    if not (COMMA if has_comma else POINT).fullmatch(bare):
        return np.nan
    plain = bare.replace(".", "").replace(",", ".") if has_comma else bare.replace(",", "")
    try:
        return float(plain) / (100 if "%" in cell else 1)
    except ValueError:
        return np.nan
