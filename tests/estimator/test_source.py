"""What the source may not contain: ways to execute what a file says."""

import ast
from pathlib import Path

import pytest

import noisyflywheel

pytestmark = pytest.mark.usefixtures("quick_folds")

SOURCES = sorted(Path(noisyflywheel.__file__).parent.rglob("*.py"))

FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "cloudpickle.load",
    "cloudpickle.loads", "joblib.load", "marshal.load", "marshal.loads", "shelve.open",
    "pandas.read_pickle", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "os.system", "os.popen", "torch.hub.load", "importlib.import_module", "runpy.run_path",
}  # fmt: skip


def dotted(node):
    """``a.b.c`` of a call's function, as written."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""


def keyword(call, name):
    """Constant value of a keyword, or the string "absent"."""
    for item in call.keywords:
        if item.arg == name:
            return item.value.value if isinstance(item.value, ast.Constant) else "not constant"
    return "absent"


def aliases(tree):
    """Imported names: ``from pickle import loads as l`` makes ``l`` stand for ``pickle.loads``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {item.asname or item.name: f"{node.module}.{item.name}" for item in node.names}
        elif isinstance(node, ast.Import):
            names |= {item.asname: item.name for item in node.names if item.asname}
    return names


def offences(text):
    """Forbidden calls of one source text as (line, what)."""
    tree = ast.parse(text)
    names = aliases(tree)
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        head, _, rest = dotted(call.func).partition(".")
        name = ".".join(part for part in (names.get(head, head), rest) if part)
        if name in FORBIDDEN:
            found.append((call.lineno, name))
        if keyword(call, "shell") not in ("absent", False):
            found.append((call.lineno, "shell="))
        if name in ("torch.load", "torch.serialization.load") and keyword(call, "weights_only") is not True:
            found.append((call.lineno, "torch.load without weights_only=True"))
        if name in ("numpy.load", "np.load") and keyword(call, "allow_pickle") is not False:
            found.append((call.lineno, "np.load without allow_pickle=False"))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(SOURCES[0].parent)))
def test_source_executes_no_file(path):
    found = offences(path.read_text(encoding="utf-8"))
    if path == SOURCES[0].parent / "__init__.py":  # loads its own names on first use
        found = [offence for offence in found if offence[1] != "importlib.import_module"]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\npickle.load(f)",
        "from pickle import loads as l\nl(b)",
        "import pickle as p\np.loads(b)",
        "eval('1')",
        "import yaml\nyaml.load(f, Loader=yaml.Loader)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess\nsubprocess.run('ls', shell=flag)",
        "import torch\ntorch.load(f)",
        "import torch\ntorch.load(f, weights_only=False)",
        "from torch import load\nload(f)",
        "import numpy as np\nnp.load(f)",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "import os\nos.system('ls')",
    ],
)
def test_the_test_sees_each_kind(text):
    assert len(offences(text)) == 1


def test_what_is_allowed_passes():
    text = (
        "import torch, subprocess, numpy as np\n"
        "torch.load(f, weights_only=True)\nnp.load(f, allow_pickle=False)\nnet.eval()\n"
        "subprocess.run(['ls'], shell=False)"
    )
    assert offences(text) == []
