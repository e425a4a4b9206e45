"""One launch of two ranks for all tests of this folder, whichever process runs them."""

from pathlib import Path

import pytest
from filelock import FileLock
from launching import torchrun
from shared_fits import FAST


@pytest.fixture(scope="session")
def folder(tmp_path_factory, request):
    """What two ranks left of all fits; the second rank dies in the last one."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if hasattr(request.config, "workerinput") else base  # of all workers of pytest-xdist
    path = root / "ranks"
    with FileLock(root / "ranks.lock"):
        if not (path / "done").exists():
            path.mkdir(exist_ok=True)
            torchrun(Path(__file__).with_name("all_fits.py"), path, *FAST, fails=True)
            (path / "done").touch()
    return path
