"""Several processes of one machine that share fits, started by torchrun."""

import os
import subprocess
import sys
from pathlib import Path

import noisyflywheel

ROOT = Path(noisyflywheel.__file__).parents[1]


def environment():
    """That of this process, where the library is found and threads do not outnumber the cores."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


def torchrun(script, *arguments, n_ranks=2, timeout=300, fails=False, options=()):
    """Run a script as several ranks."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_ranks}", *options]
    command = [*launch, str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=timeout)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
