"""The GPU command: its order, its budget, going on where it stopped, its lines, and the tables made from them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples" / "gpu"


@pytest.fixture(scope="module")
def gpu():
    """The modules of the folder, by name."""
    before, paths = list(sys.path), os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(FOLDER))
    names = ("run", "plan", "context", "make_readme", "cycle", "pictures", "accuracy", "suite")
    found = {name: __import__(name) for name in names}
    found["context"].share_code()  # as the command does, whichever test is first
    yield found
    sys.path[:] = before
    os.environ.pop("PYTHONPATH", None) if paths is None else os.environ.update(PYTHONPATH=paths)


def call(*arguments):
    command = [sys.executable, str(FOLDER / "run.py"), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def context_of(gpu, out, **more):
    return gpu["context"].Context(torch.device("cpu"), "tiny", out, **more)


def job(gpu, name, minutes=1.0, alone=True, resumes=False, work=None):
    return gpu["plan"].Job("cycle", name, minutes, work, alone, resumes)


@pytest.mark.slow
def test_a_job_leaves_one_line_and_is_not_done_again(tmp_path):
    first = call("--out", tmp_path, "--device", "cpu", "--scale", "tiny", "--minutes", 4, "--only", "digits")
    assert first.returncode == 0, first.stderr
    (line,) = map(json.loads, (tmp_path / "vectors.jsonl").read_text().splitlines())
    assert (line["job"], line["part"], line["device_type"], line["scale"]) == ("digits", "vectors", "cpu", "tiny")
    assert line["result"]["cpu"]["cycle_seconds"] > 0
    assert {"torch", "skorch", "python", "commit"} <= set(line["versions"])
    assert line["command"] == "python examples/gpu/run.py --out DIR --device cpu --scale tiny --only 'digits'"
    assert str(tmp_path) not in json.dumps(line)
    again = call("--out", tmp_path, "--device", "cpu", "--scale", "tiny", "--minutes", 4, "--only", "digits")
    assert again.stdout.startswith("0 of ")
    assert len((tmp_path / "vectors.jsonl").read_text().splitlines()) == 1


def test_dry_lists_every_part_and_runs_nothing(tmp_path, gpu, capsys):
    out = tmp_path / "none"
    assert gpu["run"].main(["--out", str(out), "--dry"]) == 0
    said = capsys.readouterr().out
    for part in gpu["plan"].PARTS:
        assert f"\n{part}: " in f"\n{said}"
    assert "3.0 min  tests" in said
    assert not out.exists()


def test_the_most_valuable_jobs_come_first(gpu, tmp_path):
    full = gpu["context"].Context(torch.device("cpu"), "full", tmp_path)
    names = [job.name for job in gpu["plan"].jobs(full)]
    assert len(set(names)) == len(names)
    order = ["tests", "cycle eager", "inference", "digits", "accuracy sym50 paper", "accuracy worst paper", "two GPUs"]
    assert [name for name in names if name in order] == order
    tried = {(job.name.split()[1], job.name.split()[2]) for job in gpu["plan"].jobs(full) if job.part == "accuracy"}
    assert tried >= {(name, method) for name in gpu["pictures"].SETS for method in ("paper", "plain")}


def test_no_cuda_device_is_one_clear_error(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA device here"):
        gpu["run"].main(["--out", str(tmp_path)])


def test_what_fits_is_begun(gpu):
    next_job = gpu["run"].next_job
    long, short = job(gpu, "long", 5.0), job(gpu, "short", 1.0)
    assert next_job([long, short], [], 9.0, 3) is long
    assert next_job([long, short], [], 2.0, 3) is short
    assert next_job([long], [], 2.0, 3) is None
    assert next_job([job(gpu, "fit", 5.0, resumes=True)], [], 2.0, 3).name == "fit"


def test_runs_side_by_side_wait_for_those_that_run_alone(gpu):
    next_job = gpu["run"].next_job
    alone, beside = job(gpu, "alone"), job(gpu, "beside", alone=False)
    assert next_job([beside], [alone], 9.0, 3) is None
    assert next_job([beside], [beside, beside], 9.0, 3) is beside
    assert next_job([beside], [beside, beside, beside], 9.0, 3) is None
    assert next_job([alone, beside], [beside], 9.0, 3) is None


def test_a_failure_is_a_line_and_is_not_tried_again(gpu, tmp_path, monkeypatch):
    def fail(context):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(gpu["run"], "jobs", lambda context: [job(gpu, "fails", work=fail)])
    context = context_of(gpu, tmp_path)
    assert gpu["run"].perform(context, "fails") is False
    (line,) = context.lines()
    assert "no such kernel" in line["error"]
    assert gpu["run"].wanted(context, gpu["run"].parse(["--out", "x"])) == []
    assert len(gpu["run"].wanted(context, gpu["run"].parse(["--out", "x", "--again", "fails"]))) == 1


def test_what_was_skipped_is_wanted_once_it_can_run(gpu, tmp_path, monkeypatch):
    def context_of(device="cuda", data=None):
        return gpu["context"].Context(torch.device(device), "full", tmp_path, data)

    def wanted(context, part):
        args = gpu["run"].parse(["--out", "x", "--only", part])
        return [job.name for job in gpu["run"].wanted(context, args)]

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    gpu["context"].append_line(context_of(), "vectors", "digits", {"result": {}}, 1.0)
    for name in ("two GPUs", "accuracy sym50 paper"):
        assert gpu["run"].perform(context_of(), name) is True
    assert {"1 CUDA device here", "no --data"} <= {line.get("skipped") for line in context_of().lines()}
    assert wanted(context_of(), "two_gpus") == []
    assert "accuracy sym50 paper" not in wanted(context_of(), "accuracy")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with_data = context_of(data=tmp_path / "cifar10n.npz")
    assert wanted(with_data, "two_gpus") == ["two GPUs"]
    assert "accuracy sym50 paper" in wanted(with_data, "accuracy")
    assert wanted(with_data, "vectors") == ["embeddings"]


def test_callbacks_of_a_variant_join_those_of_the_recipe(gpu, tmp_path):
    context = gpu["context"].Context(torch.device("cpu"), "full", tmp_path)
    for name, seconds in (("cycle eager", 4.0), ("cycle usual memory order", 2.0)):
        gpu["context"].append_line(context, "cycle", name, {"result": {"cycle": {"cycle": seconds}}}, 1.0)
    net = gpu["accuracy"].estimator_of(context, "paper", 30, gpu["accuracy"].fastest(context)[0]).main_net
    assert [name for name, _ in net.callbacks] == ["lr", "order"]
    assert net.module is gpu["cycle"].Nchw
    assert len(gpu["cycle"].VARIANTS["usual memory order"]["main_net__callbacks"]) == 1


def test_a_line_that_was_cut_off_does_not_count(gpu, tmp_path):
    (tmp_path / "cycle.jsonl").write_text('{"job": "cycle eager", "part": "cyc')
    assert context_of(gpu, tmp_path).lines() == []
    gpu["context"].append_line(context_of(gpu, tmp_path), "cycle", "cycle eager", {"result": {}}, 1.0)
    assert [line["job"] for line in context_of(gpu, tmp_path).lines()] == ["cycle eager"]


def test_counts_of_the_suite_are_a_result_and_failed_tests_a_failure(gpu, tmp_path, monkeypatch):
    found = {"passed": 3, "failed": [], "skipped": 2}
    monkeypatch.setattr(gpu["run"], "jobs", lambda context: [job(gpu, "counts", work=lambda context: found)])
    assert gpu["run"].perform(context_of(gpu, tmp_path), "counts") is True
    assert context_of(gpu, tmp_path).lines()[0]["result"] == found
    found["failed"] = ["a test"]
    assert gpu["run"].perform(context_of(gpu, tmp_path), "counts") is False


def test_what_is_cut_off_is_ended_with_all_that_it_started(gpu, tmp_path):
    class Sleeper(gpu["run"].Child):
        def __init__(self):
            self.name, self.start = "sleeper", 0.0
            code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
            self.process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)

    child = Sleeper()
    child.stop()
    assert child.process.returncode == -15


def test_archive_and_injected_labels(gpu, cifar10n, tmp_path):
    human = gpu["pictures"].noisy_set("worst", cifar10n, tmp_path, tiny=True)
    assert human.X.shape == (60, 32, 32, 3)
    assert (human.given != human.true).mean() == pytest.approx(1 / 3)
    assert "JPEG copies" in human.source
    injected = gpu["pictures"].noisy_set("sym50", cifar10n, tmp_path, tiny=True)
    assert injected.X.shape == human.X.shape
    assert 0.3 < (injected.given != injected.true).mean() < 0.6
    assert len(human.X_test) == len(human.y_test) == 30


def test_cycles_follow_from_the_measured_seconds(gpu, tmp_path):
    context = gpu["context"].Context(torch.device("cpu"), "full", tmp_path)
    guess = gpu["accuracy"].n_cycles(context, "sym50")
    for name, seconds in (("cycle eager", 4.0), ("cycle fused optimizer", 2.0), ("cycle compile, batch 512", 1.0)):
        gpu["context"].append_line(context, "cycle", name, {"result": {"cycle": {"cycle": seconds}}}, 1.0)
    assert gpu["accuracy"].fastest(context) == ("fused optimizer", 2.0)
    assert gpu["accuracy"].n_cycles(context, "sym50") > 2 * guess
    assert gpu["accuracy"].n_cycles(context, "worst") == pytest.approx(guess * 4.5 / 4, abs=4)


def cuda_line(part, job, **outcome):
    line = {
        "job": job,
        "part": part,
        "device_type": "cuda",
        "scale": "full",
        "device": "a card",
        "versions": {"torch": "9"},
    }
    return json.dumps(line | outcome) + "\n"


def test_tables_from_lines(gpu, tmp_path):
    steps = dict.fromkeys(gpu["make_readme"].STEPS, 0.5)
    peer = {"ratio": 6.0, "seconds": 4.0, "pictures": 10_000, "workers": 16}
    eager = {"cycle": steps | {"cycle": 4.0}, "first_cycle_seconds": 9.0, "flop": 8e14, "peak_flop_per_second": 8e14}
    run = {"set": "worst", "method": "paper", "wrong_labels": 0.4, "test_accuracy": 0.87, "run_seconds": 60.0}
    (tmp_path / "a.jsonl").write_text(
        cuda_line("cycle", "cycle eager", result=eager | {"reference": peer})
        + cuda_line("accuracy", "accuracy worst paper", result=run | {"auroc": 0.91})
        + cuda_line("two_gpus", "two GPUs", skipped="1 CUDA device here")
        + cuda_line("cycle", "cycle compile", error="Traceback\nRuntimeError: no compiler")
    )
    text = gpu["make_readme"].readme(tmp_path)
    assert "| eager | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | 4 | 0.25 | 9 |" in text
    assert "6.0 times as long" in text
    assert "cycle compile: failed (RuntimeError: no compiler)" in text
    assert "two GPUs: skipped (1 CUDA device here)" in text
    assert gpu["make_readme"].JPEG in text
    assert "| worst | paper | 0.4 |" in text
    assert "Device: a card. Versions: torch 9." in text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("Traceback\n  File\ntorch.AcceleratorError: CUDA error: no image\nCompile with it.\n", "no image"),
        ("ValueError: first\n\nThe above exception\n\nBackendCompilerFailed: no gcc\n\nSet TORCH_LOGS", "no gcc"),
        ("no traceback\nat all\n", "at all"),
    ],
)
def test_the_line_that_names_an_error_is_shown(gpu, error, expected):
    assert gpu["make_readme"].reason(error).endswith(expected)


def test_without_lines_of_cuda_nothing_has_been_measured(gpu, tmp_path):
    (tmp_path / "a.jsonl").write_text(cuda_line("tests", "tests").replace('"full"', '"tiny"'))
    assert gpu["make_readme"].NOTHING in gpu["make_readme"].readme(tmp_path)


def test_the_committed_readme_is_what_the_results_give(gpu):
    assert gpu["make_readme"].main(["--check"]) == 0


@pytest.mark.slow
def test_the_tiny_scale_runs_every_part(tmp_path, gpu):
    done = call("--out", tmp_path, "--device", "cpu", "--scale", "tiny", "--minutes", 5)
    assert done.returncode == 0, done.stderr
    assert "0 of " in done.stdout
    lines = context_of(gpu, tmp_path).lines()
    assert {line["part"] for line in lines} == set(gpu["plan"].PARTS)
    assert not any("error" in line for line in lines)
