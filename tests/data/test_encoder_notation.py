"""Numbers as people write them."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from noisyflywheel.data.encoder.notation import number_form, read_number


@pytest.mark.parametrize(
    ("cell", "form", "number"),
    [("1,5", "comma", 1.5), ("1.234,5 €", "comma", 1234.5), ("1,234.5", "", 1234.5), ("5 %", "", 0.05)]
    + [("-1e3", "", -1000), ("CHF 2'000", "", 2000), (3, "", 3)]
    + [("TRUE", "truth", 1), (" false", "truth", 0), ("1", "truth", 1), (True, "truth", 1), (False, "", 0)]
    + [("\u22121.5", "", -1.5), ("\u22121,5 €", "comma", -1.5), ("1e\u22122", "", 0.01), ("\u2212", "", np.nan)]
    + [("1.234 €", "thousands", 1234), ("567", "thousands", 567), ("-1.234,5", "thousands", -1234.5)]
    + [("0.500", "comma", np.nan), ("0,500", "", np.nan)]
    + [("1 234 567", "", 1234567), ("- 5", "", -5), ("€ 1\u202f234,5", "comma", 1234.5), ("12 345.5", "", 12345.5)]
    + [("5'11", "", np.nan), ("1 2", "", np.nan), ("12 34", "", np.nan), ("1 2345", "", np.nan), ("5'", "", 5)]
    + [(10**400, "", np.nan), (Decimal("sNaN"), "", np.nan), (Decimal("1.5"), "", 1.5)],
)
def test_numbers_by_hand(cell, form, number):
    assert read_number(cell, form) == pytest.approx(number, nan_ok=True)


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["567", "1.234", "12.345"], "thousands"),
        (["567 €", "-1.234 €", "0", "0", "0", "\u2013", "n/a", "23.456 €"], "thousands"),
        (["567", "1.234", "1.234", "1.234"], ""),  # one value with a point
        (["1.234", "2.345", "3.000"], ""),  # measurements with three decimals
        (["0.5", "1.234"], ""),
        (["567", "1.234", "0.123"], ""),
        (["567", "1.234", "12.34"], ""),
        (["567", "1.234", "12.345", "1234"], ""),
        (["567", "1.234", "12.345", "1e3"], ""),
        (["567", "1.234", "12.345", "1,234.5"], ""),
        (["3", "3.333", "3.667", "4", "4.333"], ""),  # means of three ratings
        (["12", "1.250", "2.375"], ""),  # below ten times 1.8125
        (["19", "1.250", "2.375"], "thousands"),
        (["567", "1.234.567", "12.345"], "comma"),
        (["567", "1.234", "12,5"], "comma"),
        (["567", "1,234", "12,345"], ""),
        (["0,567", "1,234", "0,345"], "comma"),  # no thousands begin with a zero
        (["1,234", "2,345"], ""),
        (["0", "1.234", "2.345"], ""),
    ],
)
def test_forms_by_hand(cells, form):
    assert number_form(pd.Series(cells)) == form


def test_three_decimals_of_which_zeros_are_left_out_stay_decimals():
    for seed in range(20):
        numbers = np.random.default_rng(seed).lognormal(2, 1, 200).round(3)
        assert number_form(pd.Series([f"{number:g}" for number in numbers])) == ""


@pytest.mark.parametrize("most", [5_000, 20_000, 80_000])
def test_prices_with_points_are_told(most):
    for seed in range(20):
        prices = np.exp(np.random.default_rng(seed).uniform(np.log(50), np.log(most), 200)).astype(int)
        texts = pd.Series([f"{price:,} €".replace(",", ".") for price in prices])
        assert number_form(texts) == "thousands"
        assert [read_number(text, "thousands") for text in texts] == list(prices)
