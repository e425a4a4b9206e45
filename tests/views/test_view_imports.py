"""Views stand alone: they import torch, numpy and scikit-learn's base, and nothing of this library but each other."""

import ast
import sys
from pathlib import Path

import pytest

import noisyflywheel.views

ALLOWED = ("torch", "numpy", "sklearn.base", "sklearn.utils.validation", "noisyflywheel.views")
SOURCES = sorted(Path(noisyflywheel.views.__file__).parent.glob("*.py"))


def imported(source):
    """Names of the modules that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def foreign(source):
    names = set(imported(source))
    known = {name for name in names if any(name == a or name.startswith(f"{a}.") for a in ALLOWED)}
    return {name for name in names - known if name.split(".")[0] not in sys.stdlib_module_names}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_views_import_no_room_above_them(path):
    assert foreign(path.read_text(encoding="utf-8")) == set()
    assert "TYPE_CHECKING" not in path.read_text(encoding="utf-8")


def test_a_foreign_import_is_seen():
    assert foreign("import pandas\ndef f():\n    from noisyflywheel.data import batches\n    import math") == {
        "pandas",
        "noisyflywheel.data",
    }
