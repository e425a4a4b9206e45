"""What an import loads, and which way imports point."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import noisyflywheel

PACKAGE = Path(noisyflywheel.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}

INSIDE_A_FUNCTION = {
    "matplotlib": "a second and more; only who draws needs it",
    "torchvision": "seconds; only CIFAR's files and ResNet-50 need it",
    "timm": "an extra of its own (timm)",
    "sentence_transformers": "an extra of its own (text)",
    "pyarrow": "an extra of its own (parquet)",
    "openpyxl": "an extra of its own (excel)",
    "zstandard": "an extra of its own (zstd)",
}
"""Packages that may be imported inside a function, and why."""

OUTSIDE = {
    "em": {"torch"},
    "noise": {"numpy"},
    "views": {"torch", "numpy", "sklearn.base", "sklearn.utils.validation"},
}
"""All that these packages may import beside the standard library and themselves."""


def loaded_by(statement):
    """Top-level packages that a statement loads in a fresh interpreter."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import noisyflywheel", "import noisyflywheel; noisyflywheel.noise.symmetric(list('abab'), 0.5)"]
)
def test_heavy_packages_are_not_loaded_before_they_are_needed(statement):
    assert not loaded_by(statement) & {"torch", "torchvision", "skorch", "sklearn", "pandas", "matplotlib"}


def test_the_classifier_and_the_command_load_no_more_than_they_need():
    found = loaded_by("from noisyflywheel import *; FlywheelClassifier; import noisyflywheel.cli")
    assert {"torch", "skorch"} <= found
    by_pandas = {"pyarrow"}  # wherever it is installed
    assert not found & (set(INSIDE_A_FUNCTION) - by_pandas)


def test_public_names():
    assert {"FlywheelClassifier", "FlywheelWarning", "noise", "recipes", "losses"} <= set(dir(noisyflywheel))
    for name in ("audit", "backbones", "datasets", "em", "losses", "noise", "plot", "recipes", "views"):
        assert getattr(noisyflywheel, name).__name__ == f"noisyflywheel.{name}"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        noisyflywheel.nothing  # noqa: B018


def test_contracts():
    """The rules of pyproject.toml, as `lint-imports` checks them."""
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def names_of(node):
    """Full names of the modules of an import statement."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) else []


def imports(tree):
    return [(node.lineno, name) for node in ast.walk(tree) for name in names_of(node)]


@pytest.mark.parametrize("room", OUTSIDE)
def test_what_the_mathematics_needs(room):
    allowed = OUTSIDE[room] | {f"noisyflywheel.{room}"}
    for path, tree in SOURCES.items():
        if path.startswith(f"{room}/"):
            names = [name for _, name in imports(tree) if name.partition(".")[0] not in sys.stdlib_module_names]
            other = [n for n in names if not any(f"{n}.".startswith(f"{a}.") for a in allowed)]
            assert not other, f"{path} imports {other}"


def test_the_loop_is_given_no_estimator():
    for path, tree in SOURCES.items():
        if path.startswith("loop/"):
            names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
            names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert "estimator" not in names, path


def test_no_import_inside_a_function():
    found = [
        f"{path}:{line} {name}"
        for path, tree in SOURCES.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for line, name in imports(function)
        if name.partition(".")[0] not in INSIDE_A_FUNCTION
    ]
    assert not found


def test_no_import_for_type_checkers_alone():
    """The package's `__init__` has one: its names are loaded on first use."""
    found = [
        f"{path}:{line} {name}"
        for path, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for line, name in imports(node)
        if path != "__init__.py"
    ]
    assert not found
