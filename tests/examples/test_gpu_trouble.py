"""The GPU command where something goes wrong: jobs that hang or end early, damaged lines, folders and disks."""

import errno
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from test_gpu_command import FOLDER, context_of, cuda_line, gpu, job  # noqa: F401  (gpu is a fixture)

ALONE = """
tests/cuda/test_views.py::test_a[cuda-mixed and contrasted] PASSED [  3%]
tests/cuda/test_views.py::test_b[cuda] FAILED                            [  6%]
tests/cuda/test_views.py::test_c[cuda] SKIPPED (needs a CUDA device)     [ 10%]
tests/cuda/test_views.py::test_d[cuda-the paper's] \
"""
SHARED = """
tests/cuda/test_views.py::test_a[cuda-mixed and contrasted] 
tests/cuda/test_views.py::test_d[cuda-the paper's] 
[gw3] [  0%] PASSED tests/cuda/test_views.py::test_a[cuda-mixed and contrasted] 
[gw1] [  1%] FAILED tests/cuda/test_views.py::test_b[cuda] 
[gw1] [  2%] SKIPPED tests/cuda/test_views.py::test_c[cuda] 
"""  # noqa: W291


@pytest.mark.parametrize("said", [ALONE, SHARED])
def test_of_tests_that_do_not_end_those_that_did_are_counted(gpu, said, tmp_path):  # noqa: F811
    found = gpu["suite"].so_far(said)
    assert (found["passed"], found["skipped"]) == (1, 1)
    assert found["failed"] == ["tests/cuda/test_views.py::test_b[cuda]"]
    assert found["unfinished"] == ["tests/cuda/test_views.py::test_d[cuda-the paper's]"]
    (tmp_path / "tests.jsonl").write_text(cuda_line("tests", "tests", result=found))
    assert "under way were:\n- tests/cuda/test_views.py::test_d" in gpu["make_readme"].readme(tmp_path)
    assert gpu["suite"].so_far("no test was found") is None


def test_a_suite_that_hangs_leaves_its_counts(gpu, tmp_path, monkeypatch):  # noqa: F811
    def hang(command, stdout, timeout, **options):
        stdout.write(ALONE)
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(gpu["suite"].subprocess, "run", hang)
    assert gpu["suite"].run(context_of(gpu, tmp_path))["passed"] == 1


@pytest.mark.parametrize("damaged", [b'{"job": "cycle ea', b"\xff\xfe\x00", b"12", b"{}", b""])
def test_damaged_lines_do_not_count(gpu, tmp_path, damaged):  # noqa: F811
    good = {"job": "digits", "part": "vectors", "device_type": "cpu", "scale": "tiny", "skipped": "why not"}
    (tmp_path / "vectors.jsonl").write_bytes(damaged + b"\n" + json.dumps(good).encode() + b"\n" + damaged)
    assert [line["job"] for line in context_of(gpu, tmp_path).lines()] == ["digits"]
    lines = (damaged, cuda_line("two_gpus", "two GPUs", skipped="one here").encode(), damaged)
    (tmp_path / "vectors.jsonl").write_bytes(b"\n".join(lines))
    assert "two GPUs: skipped (one here)" in gpu["make_readme"].readme(tmp_path)


def test_lines_are_json_as_others_read_it(gpu, tmp_path):  # noqa: F811
    result = {"a": float("nan"), "b": [np.float32(1.5), float("inf")], "c": np.int64(3), "d": (True, None, "x")}
    gpu["context"].append_line(context_of(gpu, tmp_path), "cycle", "cycle eager", {"result": result}, 1.0)

    def refuse(constant):
        raise AssertionError(constant)

    line = json.loads((tmp_path / "cycle.jsonl").read_text(), parse_constant=refuse)
    assert line["result"] == {"a": None, "b": [1.5, None], "c": 3, "d": [True, None, "x"]}


def test_what_a_full_disk_does_not_take_is_printed(gpu, tmp_path, monkeypatch, capsys):  # noqa: F811
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    found = {"seconds": 4.25}
    monkeypatch.setattr(gpu["run"], "jobs", lambda context: [job(gpu, "measured", work=lambda context: found)])
    monkeypatch.setattr(gpu["context"], "write_line", full)
    assert gpu["run"].perform(context_of(gpu, tmp_path), "measured") is False
    line = json.loads(capsys.readouterr().out)
    assert (line["job"], line["result"]) == ("measured", found)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_line_that_is_written_in_part_is_an_error(gpu):  # noqa: F811
    with pytest.raises(OSError, match="No space left"):
        gpu["context"].write_line("/dev/full", "text")


def test_a_folder_that_cannot_be_written_is_one_clear_error(gpu, tmp_path):  # noqa: F811
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="nothing can be written to .*file"):
        gpu["run"].main(["--out", str(tmp_path / "file" / "out"), "--device", "cpu", "--scale", "tiny"])


class Hangs:
    """Stands for a process that was begun long ago."""

    def __init__(self, group, args):
        self.group, self.job, self.start, self.stopped = group, group[0], time.monotonic() - 999, []

    def ended(self):
        return False

    def overdue(self):
        return True

    def stop(self):
        self.stopped.append(True)


def test_a_job_that_hangs_leaves_others_their_time(gpu, tmp_path, monkeypatch):  # noqa: F811
    full = gpu["context"].Context(torch.device("cpu"), "full", tmp_path)
    monkeypatch.setattr(gpu["run"], "jobs", lambda context: [job(gpu, "one"), job(gpu, "other")])
    monkeypatch.setattr(gpu["run"], "Child", Hangs)
    args = gpu["run"].parse(["--out", str(tmp_path), "--minutes", "2"])
    assert gpu["run"].drive(full, args) is False
    assert [line["job"] for line in full.lines()] == ["one", "other"]
    assert all("TimeoutError: cut off after 999 s" in line["error"] for line in full.lines())
    assert gpu["run"].wanted(full, args) == []


def test_what_is_skipped_costs_one_process_at_the_end(gpu, tmp_path, monkeypatch):  # noqa: F811
    class Begun(Hangs):
        process = subprocess.CompletedProcess([], 0)

        def __init__(self, group, args):
            super().__init__(group, args)
            begun.append([job.name for job in group])

        def ended(self):
            return True

    begun, full = [], gpu["context"].Context(torch.device("cpu"), "full", tmp_path)
    known = [job(gpu, "one"), job(gpu, "two", 8.0), job(gpu, "three"), job(gpu, "four", 8.0)]
    for blocked in (known[1], known[3]):
        blocked.obstacle = lambda context: "no --data"
    monkeypatch.setattr(gpu["run"], "jobs", lambda context: known)
    monkeypatch.setattr(gpu["run"], "Child", Begun)
    assert gpu["run"].drive(full, gpu["run"].parse(["--out", str(tmp_path), "--minutes", "2"])) is True
    assert begun == [["one"], ["three"], ["two", "four"]]


def test_a_job_may_take_several_times_as_long_as_estimated(gpu, tmp_path):  # noqa: F811
    for minutes, resumes, limit in ((1.0, False, 180), (1.0, True, None)):
        work = [job(gpu, "digits", minutes, resumes=resumes)]
        args = gpu["run"].parse(["--out", str(tmp_path), "--device", "cpu", "--job", "x"])
        child = gpu["run"].Child(work, args)
        assert child.limit == limit
        assert not child.overdue()
        child.stop()
        child.said.close()


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True, start_new_session=True)
print(child.stdout.readline(), flush=True)
"""
CHILD = """
import os, sys, threading, time
sys.path.insert(0, {folder!r})
import run
threading.Thread(target=run.end_with, args=(os.getppid(),), daemon=True).start()
print(os.getpid(), flush=True)
time.sleep(100)
"""


@pytest.mark.slow
def test_no_job_outlives_the_command():
    command = [sys.executable, "-c", PARENT, CHILD.format(folder=str(FOLDER))]
    pid = int(subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("the job is still there")


def test_what_is_measured_beside_a_cycle_may_fail(gpu, tmp_path):  # noqa: F811
    def fail():
        raise RuntimeError("no shared memory")

    found = gpu["cycle"].beside(flop=lambda: 8e14, peak_flop_per_second=lambda: 8e14, reference=fail)
    assert found.pop("failed") == {"reference": "RuntimeError: no shared memory"}
    assert found == {"flop": 8e14, "peak_flop_per_second": 8e14}
    assert "failed" not in gpu["cycle"].beside(flop=lambda: 1.0)
    steps = dict.fromkeys(gpu["make_readme"].STEPS, 0.5)
    eager = {"cycle": steps | {"cycle": 4.0}, "first_cycle_seconds": 9.0, "failed": {"reference": "RuntimeError: no"}}
    for more, share in (({}, "|  | 9 |"), (found, "| 0.25 | 9 |")):
        (tmp_path / "cycle.jsonl").write_text(cuda_line("cycle", "cycle eager", result=eager | more))
        text = gpu["make_readme"].readme(tmp_path)
        assert share in text
        assert "reference of the eager form: failed (RuntimeError: no)" in text


def test_a_fit_goes_on_as_it_began(gpu, tmp_path):  # noqa: F811
    context = gpu["context"].Context(torch.device("cpu"), "full", tmp_path)
    began = gpu["accuracy"].begun(context, "sym50", "paper", tmp_path / "fit")
    line = {"result": {"cycle": {"cycle": 2.0}}}
    gpu["context"].append_line(context, "cycle", "cycle fused optimizer", line, 1.0)
    assert gpu["accuracy"].begun(context, "sym50", "paper", tmp_path / "fit") == began == ("eager", began[1])
    assert gpu["accuracy"].begun(context, "sym50", "paper", tmp_path / "other") == ("fused optimizer", 191)
