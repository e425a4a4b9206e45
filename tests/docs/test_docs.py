"""README and docs: every Python block runs, links resolve, names exist, parameters are all there.

The blocks of a page run one after the other in one namespace. A block whose first line is ``# slow`` is left out of
the fast suite, where default fits are short; ``-m slow`` runs the README, and the pages that have such a block, whole.
"""

import importlib
import inspect
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.auto.defaults import AUTO_VECTORS
from noisyflywheel.estimator.parameters import _CHECKS
from noisyflywheel.views.adapter import ViewAdapter

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "examples").rglob("*.md"))


def blocks(page, language="python"):
    """Code blocks of a page as (number of the first line, text)."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n"), match[1]) for match in found]


def is_slow(code):
    return code.startswith("# slow")


def run(page, codes):
    """Execute blocks in one namespace; a failure names the page and its line."""
    namespace = {"__name__": "__main__"}
    for line, code in codes:
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


WITH_CODE = [page for page in PAGES if blocks(page)]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


WHOLE = [page for page in WITH_CODE if page.name == "README.md" or any(is_slow(code) for _, code in blocks(page))]


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda p: p.name)
def test_page_runs(page, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(AUTO_VECTORS, "n_cycles", 10)
    run(page, [(line, code) for line, code in blocks(page) if not is_slow(code)])


def test_views_of_the_page_on_extending_are_right_for_pictures_of_both_kinds():
    (code,) = (code for _, code in blocks(ROOT / "docs" / "extending.md") if "class Jitter" in code)
    namespace = {"torch": torch}
    exec(code.split("\nclf = ")[0], namespace)
    pictures = torch.from_numpy(np.random.default_rng(0).integers(256, size=(5, 3, 8, 8), dtype=np.uint8))
    seen = []
    for x in (pictures, pictures / 255):
        adapter = ViewAdapter(namespace["Jitter"](), x)
        adapter.check_scale(x, x.device)
        generator = torch.Generator().manual_seed(0)
        seen.append([adapter.plain(x), adapter.weak(x, generator), adapter.strong(x, generator)])
    for of_bits, of_floats in zip(*seen, strict=True):
        torch.testing.assert_close(of_bits, of_floats)
        assert of_bits.max() < 2


@pytest.mark.slow
@pytest.mark.parametrize("page", WHOLE, ids=lambda p: p.name)
def test_page_runs_whole(page, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    run(page, blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_local_links_resolve(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_names_in_prose_exist(page):
    for name in set(re.findall(r"`(noisyflywheel(?:\.\w+)+)", page.read_text(encoding="utf-8"))):
        parts = name.split(".")
        for cut in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:cut]))
                break
            except ModuleNotFoundError:
                continue
        for part in parts[cut:]:
            assert hasattr(found, part), name
            found = getattr(found, part)


def test_readme_has_two_commands_and_the_second_is_marked():
    commands = [code for _, code in blocks(ROOT / "README.md", "bash")]
    assert len(commands) == 2 and all(len(code.splitlines()) == 1 for code in commands)
    assert f"<!-- test-command -->\n```bash\n{commands[1]}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_parameter_is_on_its_page():
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    missing = [name for name in inspect.signature(FlywheelClassifier).parameters if f"`{name}`" not in page]
    assert not missing


RANGES = {name: re.search(r">= \d+|[(\[]\d+, \d+\]", allowed) for name, (allowed, *_) in _CHECKS.items()}


@pytest.mark.parametrize("name", [name for name, found in RANGES.items() if found])
def test_ranges_are_in_the_docstring(name):
    """As parameters.md says: the bound or interval that is checked stands beside the type."""
    described = re.search(rf"^ *{name} : (.*), default=", FlywheelClassifier.__doc__, re.MULTILINE)
    assert described and RANGES[name][0] in described[1]


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert all(f"({page.name})" in index for page in (ROOT / "docs").glob("*.md") if page.name != "index.md")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_in_prose_exist(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:examples|tests|noisyflywheel|docs|\.ci)/[\w./-]+)`", text)
    named += re.findall(r"python ((?:examples|tests)/[\w./-]+\.py)", text)
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_result_is_in_its_list_with_the_script_that_made_it():
    folder = ROOT / "examples" / "benchmarks" / "results"
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1:3] for line in lines if line.startswith("| `")]
    listed = [name for files, _ in cells for name in re.findall(r"`([\w.]+)`", files)]
    assert sorted(listed) == sorted(path.name for path in folder.iterdir() if path.name != "README.md")
    scripts = [re.search(r"`([\w/]+\.py)", script) for _, script in cells]
    assert all(s and any((at / s[1]).exists() for at in (ROOT, folder.parent)) for s in scripts)


def test_every_benchmark_is_in_its_index():
    folder = ROOT / "examples" / "benchmarks"
    index = (folder / "README.md").read_text(encoding="utf-8")
    scripts = [p for p in folder.glob("*.py") if "__main__" in p.read_text(encoding="utf-8")]
    assert all(f"({script.name})" in index for script in scripts)
