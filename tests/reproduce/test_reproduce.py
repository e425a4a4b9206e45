"""`noisyflywheel reproduce` and `tables` on a small made CIFAR-10 in the published form."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from noisyflywheel import FlywheelClassifier
from noisyflywheel.cli import main
from noisyflywheel.noise import symmetric
from noisyflywheel.reproduce import CycleMeasures, Plan, load_benchmark, reproduce
from noisyflywheel.reproduce.measures import matrix_error
from noisyflywheel.reproduce.record import commit, read_json, write_json
from noisyflywheel.reproduce.run import result

SMALL = ("--net", "small", "--epochs", 3, "--device", "cpu", "--set", "main_net__module__width=8")


@pytest.fixture
def call(capsys):
    def run(*arguments):
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_run_its_file_its_figures_and_the_tables(cifar10, call, tmp_path):
    out = tmp_path / "out"
    arguments = (
        "reproduce",
        "cifar10",
        "--noise",
        "sym",
        "--rate",
        0.5,
        *SMALL,
        "--data",
        cifar10,
        "--out",
        out,
    )
    code, said, err = call(*arguments)
    assert code == 0, err
    (path,) = out.glob("*.json")
    record = read_json(path)
    assert record["status"] == "done"
    assert [row["cycle"] for row in record["cycles"]] == [1, 2]
    last = record["cycles"][-1]
    assert record["result"]["last_test_accuracy"] == last["test_accuracy"]
    assert record["result"]["best_test_accuracy"] == max(r["test_accuracy"] for r in record["cycles"])
    for column in ("gamma", "selection_auroc", "quality_auroc", "refurbishment_accuracy", "corruption_error"):
        assert 0 <= last[column] <= 1
    for step in ("main_e", "auxiliary_e", "auxiliary_m", "resample", "main_m"):
        assert last[f"{step}_seconds"] > 0
    assert {"device", "torch", "commit", "python"} <= set(record["environment"])
    assert str(tmp_path) not in path.read_text()
    assert record["data"]["note"] == ""
    np.testing.assert_allclose(np.sum(record["matrices"]["true_T_c"], axis=1), 1, atol=1e-4)
    for figure in (3, 4, 5):
        with Image.open(path.with_name(f"{path.stem}-figure{figure}.png")) as picture:
            assert picture.size[0] > 300
    assert "test accuracy" in said

    before = path.read_bytes()
    code, said, _ = call(*arguments)
    assert code == 0
    assert "done already" in said
    assert path.read_bytes() == before

    code, said, err = call("tables", out)
    assert code == 0, err
    assert "### Table 1." in said
    assert "| cifar10 sym-50 % | 96.7 |" in said
    assert "small net, 3 epochs" in said


def test_human_labels_and_an_ablation_on_a_subset(cifar10, call, tmp_path):
    arguments = ("--noise", "worse", "--n-train", 40, "--n-test", 20, "--without", "cl", *SMALL, "--tsne", 0)
    code, _, err = call("reproduce", "cifar10", *arguments, "--data", cifar10, "--out", tmp_path)
    assert code == 0, err
    (path,) = tmp_path.glob("*.json")
    record = read_json(path)
    assert (record["data"]["n_train"], record["data"]["n_test"]) == (40, 20)
    assert record["data"]["true_clean_rate"] == pytest.approx(26 / 40)
    assert record["parameters"]["contrastive_weight"] == 0
    assert not list(tmp_path.glob("*figure4.png"))
    code, said, _ = call("tables", tmp_path, "--out", tmp_path / "t.md")
    assert code == 0
    assert "Not in the paper" in (tmp_path / "t.md").read_text()


def test_a_stopped_run_goes_on(cifar10, tmp_path):
    plan = Plan("cifar10", "worse", net="small", epochs=4, n_train=40, changes={"main_net__module__width": 8})
    benchmark = load_benchmark("cifar10", cifar10, "worse", None, 0, n_train=40)

    def stop_in_cycle_2(text):
        if text.startswith("cycle   2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(plan, benchmark, tmp_path / "a", device="cpu", tsne_rows=0, say=stop_in_cycle_2)
    half = read_json(tmp_path / "a" / f"{plan.name()}.json")
    assert (half["status"], len(half["cycles"])) == ("running", 2)
    continued = reproduce(plan, benchmark, tmp_path / "a", device="cpu", tsne_rows=0, say=len)
    whole = reproduce(plan, benchmark, tmp_path / "b", device="cpu", tsne_rows=0, say=len)
    assert continued["status"] == "done"
    assert continued["seconds"] > half["seconds"]
    for one, other in zip(continued["cycles"], whole["cycles"], strict=True):
        same = [name for name in one if not name.endswith("seconds")]
        assert [one[n] for n in same] == pytest.approx([other[n] for n in same], abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--noise", "sym"], "--rate"),
        (["--noise", "worse", "--rate", "0.5"], "--rate 0.5"),
        (["--noise", "sym", "--rate", "1.5"], "[0, 1]"),
        (["--noise", "human"], "human"),
        ([], "--noise"),
        (["--noise", "clean", "--epochs", "1"], "--epochs"),
        (["--noise", "clean", "--set", "what"], "NAME=VALUE"),
        (["--noise", "clean", "--set", "what=1"], "what"),
        (["--noise", "clean", "--set", "device=cpu"], "--set device is not possible: --device sets it"),
        (["--noise", "clean", "--set", "on_cycle=null"], "--set on_cycle is not possible: the command itself sets it"),
        (["--noise", "clean", "--set", "n_cycles=5"], "--set n_cycles is not possible: --epochs sets it"),
        (["--noise", "clean", "--set", "n_warmup_epochs=5"], "--set n_warmup_epochs is not possible: --warmup sets it"),
        (["--noise", "clean", "--set", "random_state=5"], "--set random_state is not possible: --seed sets it"),
        (["--noise", "clean", "--without", "cr", "--set", "cr_weight=1"], "cr_weight is not possible: --without sets"),
        (["--noise", "clean", "--set", "main_net__lr=abc"], "--set main_net__lr must be a number, got 'abc'"),
        (["--noise", "clean", "--set", "calibrate=False"], "--set calibrate must be true or false, got 'False'"),
        (["--noise", "clean", "--member", "x"], "--labels"),
        (["--noise", "random1"], "random_label1"),
    ],
)
def test_wrong_options_get_one_line(cifar10, call, tmp_path, options, word):
    code, _, err = call("reproduce", "cifar10", *options, "--data", cifar10, "--out", tmp_path / "out")
    assert code == 2
    assert word in err.splitlines()[-1]
    assert "Traceback" not in err


def test_missing_data_and_no_results_are_named(call, tmp_path):
    code, _, err = call("reproduce", "cifar10", "--noise", "clean", "--data", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "cifar-10-batches-py" in err
    (tmp_path / "other.json").write_text("{}")
    code, _, err = call("tables", tmp_path)
    assert code == 2
    assert "no finished result" in err
    assert call("tables", tmp_path / "nowhere")[0] == 2


def test_labels_from_a_file(cifar10, tmp_path):
    given = np.zeros(60, np.int64)
    np.savez(tmp_path / "labels.npz", mine=given)
    benchmark = load_benchmark(
        "cifar10", cifar10, "idn", 0.4, 0, n_train=10, label_file=tmp_path / "labels.npz", member="mine"
    )
    assert (benchmark.y == 0).all()
    assert benchmark.y_true is not None
    assert len(benchmark.X) == 10


@pytest.mark.parametrize("kind", ["sym", "asym", "idn"])
def test_synthetic_noise_is_seeded(cifar10, kind):
    one, two, other = (load_benchmark("cifar10", cifar10, kind, 0.9, seed) for seed in (0, 0, 1))
    assert (one.y == two.y).all()
    assert (one.y != other.y).any()
    assert (one.y != one.y_true).mean() > 0.3


def test_measures_by_hand_and_without_a_trace_in_the_training():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int) + 2 * (X[:, 1] > 0)
    given = symmetric(y, 0.3, random_state=0)
    rows = []
    keep = lambda row, wheel: rows.append((row, wheel.of_caller(wheel.state.f_prob.argmax(1)).numpy()))  # noqa: E731
    measures = CycleMeasures(given, y, X[:30], y[:30], sink=keep)
    settings = {"n_cycles": 2, "n_warmup_epochs": 2, "random_state": 0, "device": "cpu"}
    measured = FlywheelClassifier(on_cycle=measures, **settings).fit(X, given)
    plain = FlywheelClassifier(**settings).fit(X, given)
    np.testing.assert_array_equal(measured.label_quality_, plain.label_quality_)
    last = measured.history_.iloc[-1]
    assert last["test_accuracy"] == pytest.approx((measured.predict(X[:30]) == y[:30]).mean())
    row, guess = rows[-1]
    assert last["f_train_accuracy"] == pytest.approx((guess == y).mean())
    assert row["test_accuracy"] == last["test_accuracy"]
    truth = measures.true_corruption()
    wrong = given != y
    assert truth[2, 3] == pytest.approx(((y == 2) & (given == 3))[wrong].sum() / (y[wrong] == 2).sum())


@pytest.mark.parametrize("n", [90, 120])
def test_measures_are_of_the_callers_rows_also_where_these_are_sorted(n):
    """Classes far apart: f finds nearly all, of the same rows as test rows and as training rows."""
    rng = np.random.default_rng(1)
    y, X = np.arange(n) % 3, rng.normal(size=(n, 2)).astype(np.float32)
    X[:, 0] += 9 * y
    given = symmetric(y, 0.3, random_state=0)
    measures = CycleMeasures(given, y, X, y)
    settings = {"n_folds": 1, "n_warmup_epochs": 8, "n_cycles": 4, "random_state": 0}
    last = FlywheelClassifier(on_cycle=measures, **settings).fit(X, given).history_.iloc[-1]
    assert last["test_accuracy"] > 0.9 and last["f_train_accuracy"] > 0.9
    assert last["refurbishment_accuracy"] > 0.9 and last["quality_auroc"] > 0.9


def test_clean_labels_have_no_corruption_to_compare():
    y = np.arange(6) % 2
    assert CycleMeasures(y, y, np.zeros((2, 3)), y[:2]).true_corruption() is None


def test_matrix_error_leaves_out_the_diagonal():
    truth = np.array([[0, 1, 0], [0.5, 0, 0.5], [0, 0, 0.0]])
    same = np.array([[0.4, 0.6, 0], [0.25, 0.5, 0.25], [0.3, 0.3, 0.4]])
    assert matrix_error(same, truth) == pytest.approx(0)
    assert matrix_error(np.full((3, 3), 1 / 3), truth) == pytest.approx((0.5 + 0) / 2)
    assert np.isnan(matrix_error(same, np.eye(3)))


def test_result_takes_the_last_cycle_for_the_headline():
    row = {"cycle_seconds": 2.0, "inference_seconds": 0.1}
    rows = [row | {"cycle": i + 1, "test_accuracy": a} for i, a in enumerate((0.5, 0.9, 0.7))]
    found = result(rows)
    assert (found["last_test_accuracy"], found["best_test_accuracy"]) == (0.7, 0.9)
    assert found["mean_last_10_test_accuracy"] == pytest.approx(0.7)
    assert found["median_cycle_seconds"] == 2.0


def test_json_is_whole_and_plain(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"format": "noisyflywheel-reproduce-1", "a": float("nan"), "b": np.float32(0.5), "c": [1]})
    assert json.loads(path.read_text())["a"] is None
    assert read_json(path)["b"] == 0.5
    with pytest.raises(TypeError):
        write_json(path, {"bad": torch.nn.Linear})
    assert read_json(path)["c"] == [1]
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]
    path.write_text("[")
    with pytest.raises(ValueError, match="a.json"):
        read_json(path)
    assert commit()
