"""The site has every public name and every example; `.ci/run` builds it with warnings as errors."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MODULES = ("", ".audit", ".backbones", ".datasets", ".em", ".losses", ".noise", ".plot", ".views")


def reference():
    """Names of the API reference by module."""
    found: dict[str, set[str]] = {}
    module = ""
    for line in (DOCS / "api.md").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = match[1]
        elif match := re.match(r"   (\w+)$", line):
            found.setdefault(module, set()).add(match[1])
    return found


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_in_the_reference(name):
    module = importlib.import_module(f"noisyflywheel{name}")
    assert not set(module.__all__) - reference()[f"noisyflywheel{name}"]


def test_every_name_in_the_reference_exists():
    for name, members in reference().items():
        module = importlib.import_module(name)
        assert not [member for member in members if not hasattr(module, member)]


def test_every_equation_has_its_number_on_the_page():
    page = (DOCS / "equations.md").read_text(encoding="utf-8")
    assert re.findall(r"\\tag\{(\d+)\}", page) == [str(number) for number in range(1, 15)]


def test_the_checks_build_the_site_with_warnings_as_errors():
    assert "-m sphinx -W " in (DOCS.parent / ".ci" / "run").read_text(encoding="utf-8")


def test_gallery_examples_have_a_title_and_are_short():
    examples = sorted((DOCS.parent / "examples" / "gallery").glob("plot_*.py"))
    assert len(examples) >= 4
    for path in examples:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[2] == "=" * len(lines[1]) and len(lines) <= 40
