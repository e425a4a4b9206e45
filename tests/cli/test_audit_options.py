import argparse

import pytest

from noisyflywheel.cli.audit_options import add_options, reading_of


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ["a"]),
        (" a , b c ", ["a", "b c"]),
        ("?,,-", ["?", "", "-"]),
        ('"price, EUR" , size', ["price, EUR", "size"]),
        ('" a ","b"', [" a ", "b"]),
        ('"5"" pipe",6" pipe', ['5" pipe', '6" pipe']),
        ('",NA', ['"', "NA"]),
    ],
)
def test_names_between_commas(text, names):
    """A comma in quotes parts nothing; a quote alone is one."""
    parser = add_options(argparse.ArgumentParser().add_subparsers())
    reading = reading_of(parser.parse_args(["t.csv", "--out", "o", "--features", text, "--missing", text]))
    assert reading.features == names
    assert reading.missing == tuple(names)
