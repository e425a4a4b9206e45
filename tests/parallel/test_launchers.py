"""Fits shared by processes that other launchers start: accelerate, Ray Train, Slurm's srun."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shared_fits
from launching import environment

pytestmark = [pytest.mark.processes, pytest.mark.slow]

SCRIPT = Path(shared_fits.__file__)


def run(command, *, timeout=300, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment() | more)
    assert done.returncode == 0, done.stdout + done.stderr


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def assert_shared(folder):
    """Both ranks left what one process has."""
    expected = shared_fits.CASES["norms"]()
    for rank in range(2):
        with np.load(folder / f"norms.{rank}.npz") as found:
            for name, value in expected.items():
                np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-4, equal_nan=True, err_msg=name)


def test_accelerate(tmp_path):
    pytest.importorskip("accelerate")
    options = ["--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", *options, "--num_cpu_threads_per_process=1"]
    run([*launch, str(SCRIPT), str(tmp_path), "norms"])
    assert_shared(tmp_path)


SRUN = """
srun() {  # as many tasks as are asked for, each with its number, as Slurm starts them
    for task in 0 1; do
        SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_NTASKS=2 "${@:2}" &
        tasks="$tasks $!"
    done
    for task in $tasks; do wait $task || exit 1; done
}
"""


def test_the_line_for_srun(tmp_path):
    """That of docs/scale.md, with a stand-in for srun that sets what Slurm sets."""
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    line = page[page.index("srun --ntasks-per-node") :]
    line = line[: line.index("```")].replace("29500", str(free_port()))
    line = line.replace("python train.py", f"{sys.executable} {SCRIPT} {tmp_path} norms")
    run(["bash", "-c", SRUN + line], FIRST_HOST="127.0.0.1")
    assert_shared(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_ray_train(tmp_path):
    ray = pytest.importorskip("ray")
    pytest.importorskip("pydantic")  # of Ray Train
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    paths = os.pathsep.join([str(SCRIPT.parent), environment()["PYTHONPATH"]])
    folder = str(tmp_path)

    def train():
        import shared_fits
        from ray import train

        os.environ["RANK"] = str(train.get_context().get_world_rank())
        shared_fits.main(folder, "norms")

    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": paths}})
    try:
        TorchTrainer(
            train, scaling_config=ScalingConfig(num_workers=2), run_config=RunConfig(storage_path=folder)
        ).fit()
    finally:
        ray.shutdown()
    assert_shared(tmp_path)
