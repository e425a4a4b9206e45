"""What the tests of reading files share: a watch over everything a load does to the process."""

import contextlib
import hashlib
import os
import sys

import pytest

# fmt: off
FORBIDDEN = (
    "pickle.find_class", "exec", "import", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn",
    "socket.connect", "ctypes.dlopen", "marshal.loads", "os.remove", "os.rename", "os.rmdir", "os.mkdir",
    "os.chmod", "os.link", "os.symlink", "shutil.rmtree",
)
# fmt: on

_record: list | None = None


def _hook(event, args):
    if _record is None:
        return
    if event in FORBIDDEN or event == "open" and not _reads_only(args):
        _record.append((event, args))


def _reads_only(args):
    _, mode, flags = args
    if mode is not None:
        return not set(mode) & set("wax+")
    return not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)


sys.addaudithook(_hook)


@contextlib.contextmanager
def _watched():
    global _record
    _record = []
    try:
        yield _record
    finally:
        _record = None


@pytest.fixture
def watched():
    """Context in which every import, execution, unpickling, write and connection is recorded."""
    return _watched


class Payload:
    """Unpickled, it makes a directory: the canary."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def canary(tmp_path_factory):
    """An object that leaves ``canary.path`` behind if anything unpickles it."""
    return Payload(tmp_path_factory.mktemp("canary") / "sang")


@pytest.fixture(scope="session")
def sign():
    """Makes a file whose SHA-256 is right of its start and its content."""

    def sign(start, content):
        return start + b" " + hashlib.sha256(start + content).hexdigest().encode() + b"\n" + content

    return sign
