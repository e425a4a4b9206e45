"""Versions agree, the citation names the paper, pre-commit runs the tools of the checks, archives build and install."""

import runpy
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import noisyflywheel

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_versions_agree():
    assert PROJECT["version"] == noisyflywheel.__version__
    assert f"\nversion: {noisyflywheel.__version__}\n" in text("CITATION.cff")


def test_citation_names_software_and_paper():
    citation = text("CITATION.cff")
    assert "Learning with Noisy Labels: Interconnection of Two Expectation-Maximizations" in citation
    assert [name in citation for name in ("Kim", "Chang", "Cho", "Lee", "Han")] == [True] * 5
    assert f"license: {PROJECT['license']}" in citation


@pytest.mark.parametrize("tool", ["ruff check", "ruff format", "mypy"])
def test_pre_commit_runs_what_the_checks_run(tool):
    assert f"entry: {tool}" in text(".pre-commit-config.yaml")
    assert f".venv/bin/{tool}" in text(".ci/run")


def test_extras_have_floors_at_most():
    for names in PROJECT["optional-dependencies"].values():
        assert not [name for name in names if "<" in name or "==" in name]


def test_nothing_that_an_extra_is_for_is_needed_without_it():
    always = {name.split(">")[0] for name in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"]
    optional = {name.split(">")[0] for extra in ("onnx", "tracking", "docs") for name in extras[extra]}
    assert not always & optional


@pytest.mark.slow
@pytest.mark.skipif(find_spec("build") is None, reason="not installed: build")
def test_archives_build_and_the_installed_wheel_audits_a_file(capsys):
    script = runpy.run_path(str(ROOT / "examples" / "benchmarks" / "package.py"))
    script["build"](from_registry=False)
    assert "report.html" in capsys.readouterr().out
