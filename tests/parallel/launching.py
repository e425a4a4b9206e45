"""Several processes of one machine that share fits, started by torchrun."""

import os
import subprocess
import sys
from pathlib import Path

import noisyflywheel

ROOT = Path(noisyflywheel.__file__).parents[1]


def torchrun(script, *arguments, n_ranks=2, timeout=300):
    """Run a script as several ranks, and return what they printed."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_ranks}"]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    command = [*launch, str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout
