"""The benchmark scripts run as they stand, on very little."""

import gzip
import importlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.io import savemat
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"


def run(name, *arguments):
    paths = [str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def run_here(monkeypatch, capsys):
    """As `run`, in this process, which has its imports behind it."""

    def run_script(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(FOLDER / name), run_name="__main__")
        return capsys.readouterr().out

    monkeypatch.syspath_prepend(FOLDER)
    return run_script


def test_arff_tables(tmp_path, run_here):
    """Numbers, two and three values, a constant, a mostly missing column; rows of a rare class or none are left out."""
    head = """% made
@relation small
@ATTRIBUTE 'the size' real
@attribute two {yes,no}
@attribute three {'a, b',c,d}
@attribute same numeric
@attribute gone numeric
@attribute class {k,l,m}
@data
"""
    third = ["'a, b'" if i % 5 == 0 else "cd"[i % 2] for i in range(12)]
    lines = [f"{i},{('yes', 'no')[i % 2]},{third[i]},1,?,k" for i in range(12)]
    lines += [f"{'?' if i == 0 else i},no,c,1,{i if i < 5 else '?'},l" for i in range(11)]
    lines += ["1,no,c,1,?,m"] * 9 + ["1,no,c,1,?,?"] * 10
    (tmp_path / "small.arff").write_text(head + "\n".join(lines) + "\n\n")
    (tmp_path / "few.arff").write_text(head + "\n".join(lines[:9]))
    said = run_here("arff_tables.py", "--data", tmp_path, "--out", tmp_path / "tables")
    assert said == "few: no class has 10 rows\nsmall: 23 rows, 5 columns, 2 classes\n"
    found = np.load(tmp_path / "tables" / "small.npz")
    assert found["y"].tolist() == [0] * 12 + [1] * 11
    size = np.r_[np.arange(12), np.arange(11), [1] * 9].astype(float)
    median = np.median(np.delete(size, 12))
    np.testing.assert_allclose(found["X"][:, 0], np.r_[np.arange(12), median, np.arange(1, 11)])
    assert found["X"][:3, 1].tolist() == [1, 0, 1]  # yes
    assert found["X"][:3, 2:].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_tables_of_lines_without_names(tmp_path, run_here):
    """Numbers with one missing, words in two kinds of quotes, a class of numbers; the marks are semicolons."""
    lines = [f"{'?' if i == 3 else i / 2}; '{('a', 'b')[i % 2]};c'; {1 + (i > 10)}" for i in range(22)]
    (tmp_path / "plain.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "commas.csv").write_text("\n".join(f'{i},"{("x", "y, z")[i % 2]}",k{i % 2}' for i in range(24)))
    said = run_here("arff_tables.py", "--data", tmp_path, "--out", tmp_path / "tables")
    assert said == "commas: 24 rows, 2 columns, 2 classes\nplain: 22 rows, 2 columns, 2 classes\n"
    found = np.load(tmp_path / "tables" / "plain.npz")
    assert found["y"].tolist() == [0] * 11 + [1] * 11
    assert found["X"][:4].tolist() == [[0, 0], [0.5, 1], [1, 0], [5.5, 1]]


def test_arff_tables_of_numbers(tmp_path, run_here):
    """The target is a number, cut into thirds; lines end with a comma; rows without a target are left out."""
    head = "@relation r\n@attribute size real\n@attribute price real\n@data\n"
    lines = [f"{i},{price}," for i, price in enumerate([5, 1, "?", 9, 3, 7, 2, 8, 4, 6] * 4)]
    (tmp_path / "numbers.arff").write_text(head + "\n".join(lines))
    run_here("arff_tables.py", "--data", tmp_path, "--out", tmp_path / "tables", "--thirds")
    found = np.load(tmp_path / "tables" / "numbers.npz")
    assert found["y"][:9].tolist() == [1, 0, 2, 0, 2, 0, 2, 1, 1]
    assert found["X"][:4, 0].tolist() == [0, 1, 3, 4]
    run_here("arff_tables.py", "--data", tmp_path, "--out", tmp_path / "few", "--thirds", "--most-rows", 34)
    rows = {tuple(x): label for x, label in zip(found["X"], found["y"], strict=True)}
    few = np.load(tmp_path / "few" / "numbers.npz")
    assert len(few["y"]) == 34 and all(rows[tuple(x)] == y for x, y in zip(few["X"], few["y"], strict=True))


def test_tables_of_classifiers_that_judge_no_label(tmp_path, run_here):
    out = tmp_path / "iris.jsonl"
    few = ("--tables", "iris", "--noises", "sym30", "--seeds", "0", "--methods", "logistic", "--out", out)
    said = run_here("tables.py", *few)
    row = json.loads(out.read_text())
    X, y = load_iris(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    rng = np.random.default_rng(100)  # of sym30, seed 0
    rows = rng.permutation(105)[:31]
    y[rows] = rng.integers(0, 3, 31)
    clf = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(X, y)
    p = clf.predict_proba(X_test)
    assert row["test"] == clf.score(X_test, y_test)
    assert row["log_loss"] == pytest.approx(log_loss(y_test, p))
    assert row["test_auroc"] == pytest.approx(roc_auc_score(y_test, p, multi_class="ovr"))
    assert row["average_precision"] == pytest.approx(average_precision_score(y_test, p))
    assert row["balanced"] == balanced_accuracy_score(y_test, clf.predict(X_test))
    assert "Probabilities of test rows" in said and "Test rows, every class as important" in said


def test_frames_with_categories_and_missing_cells(tmp_path, run_here):
    """Twenty penguins of one species are enough, nineteen are not; a constant column and one of ids are left out."""
    (tmp_path / "modeldata").mkdir()
    rows = np.arange(130)
    species = np.repeat(["Adelie", "Chinstrap", "Gentoo", "King"], [70, 19, 20, 21])
    mass = np.where(rows % 20 == 0, np.nan, 3 * rows)
    sex = np.where(rows % 5 == 0, None, np.where(rows % 2, "male", "female"))
    columns = {"species": species, "mass": mass, "sex": sex, "ring": [f"no. {i}" for i in rows], "year": 2007}
    pd.DataFrame(columns, index=rows + 1).to_csv(tmp_path / "modeldata" / "penguins.csv", index_label="rownames")
    said = run_here("frame_sets.py", "--data", tmp_path, "--out", tmp_path / "frames")
    assert "modeldata/penguins: 111 rows, 2 columns, 3 classes" in said and "left out: ISLR/OJ" in said
    out = tmp_path / "frames.jsonl"
    asked = ("--noises", "clean,hard20", "--seeds", 0, "--methods", "forest,logistic,cleanlab logistic", "--out", out)
    run_here("tables.py", "--data", tmp_path / "frames", *asked)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["n_wrong"] for row in found] == [0] * 3 + [15] * 3 and {row["n"] for row in found} == {77}
    assert found[0]["method"] == "forest" and found[0]["test"] > 0.9, "mass tells the species"
    table = importlib.import_module("table_data").load("modeldata.penguins", "clean", 0, tmp_path / "frames")
    assert list(table.X) == ["mass", "sex"] and table.X.isna().sum().gt(0).all()


def test_labels_of_rare_classes(monkeypatch):
    """80 rows of class 0, 12 of 1 and 8 of 2: missed ones, false alarms, and labels that are another class."""
    monkeypatch.syspath_prepend(FOLDER)
    table_data = importlib.import_module("table_data")
    X, y = np.zeros((100, 1)), np.repeat([0, 1, 2], [80, 12, 8])
    missed, alarms, flipped = (table_data.inject(X, y, noise, 0) for noise in ("missed40", "alarms", "flip20"))
    wrong = missed != y
    assert 2 <= wrong.sum() <= 14 and (missed[wrong] == 0).all()
    wrong = alarms != y
    assert wrong.sum() == 20 and (y[wrong] == 0).all() and set(alarms[wrong]) == {1, 2}
    assert 8 <= (flipped != y).sum() <= 32 and set(flipped) == {0, 1, 2}
    assert len({tuple(table_data.inject(X, y, "flip20", seed)) for seed in (0, 1)}) == 2


def test_tables_with_a_tail(tmp_path, run_here):
    """Classes of 80, 300 and 120 rows, the rarest a tenth of the most frequent one: 300, 94 and 30 are kept."""
    head = "@relation numbers\n@attribute a numeric\n@attribute class {x,y,z}\n@data\n"
    lines = [f"{i},{'xyz'[k]}" for i, k in enumerate(np.repeat([0, 1, 2], [80, 300, 120]))]
    (tmp_path / "tail.arff").write_text(head + "\n".join(lines))
    run_here("arff_tables.py", "--data", tmp_path, "--out", tmp_path / "tables", "--tail", 0.1)
    found = np.load(tmp_path / "tables" / "tail.npz")
    assert np.bincount(found["y"]).tolist() == [30, 300, 94]
    assert (np.digitize(found["X"][:, 0], [80, 380]) == found["y"]).all()


def test_runs_beside_those_of_an_earlier_file(tmp_path, run_here):
    """Two runs of seed 0, .03 better and .001 worse than before; the forest of the earlier file is .0204 ahead once."""
    line = {"table": "a", "seed": 0, "suspects": 3, "n_wrong": 2, "n": 9, "calibration_error": 0.1, "seconds": 1}
    kinds = {"now": ("ours", 0.83, 0.7), "before": ("ours", 0.8, 0.701), "forest": ("forest", 0.8504, 0.7)}
    lines = {name: [] for name in kinds}
    for name, (method, *tests) in kinds.items():
        for noise, test in zip(("clean", "sym30"), tests, strict=True):
            lines[name].append(json.dumps(line | {"method": method, "noise": noise, "test": test}))
    other = json.dumps(line | {"method": "ours", "noise": "clean", "seed": 1, "test": 0.1})
    (tmp_path / "now.jsonl").write_text("\n".join([*lines["now"], other]))
    (tmp_path / "before.jsonl").write_text("\n".join(lines["before"] + lines["forest"]))
    beside = ("--show", "--seeds", "0", "--against", tmp_path / "before.jsonl")
    said = run_here("tables.py", "--out", tmp_path / "now.jsonl", *beside).splitlines()
    start = said.index("Ours beside the other file, 2 runs")
    found = {" ".join(row[:-2]): [float(value) for value in row[-2:]] for row in map(str.split, said[start + 2 : -4])}
    assert found["test"] == [0.83, 0.7] and found["test before"] == [0.8, 0.701]
    assert found["better"] == [1, 0] and found["worse"] == [0, 0]
    assert said[-3] == "Ours against the forest: 0 wins, 1 losses; lost by more than .02"
    assert said[-1].split() == ["a", "clean", "0", "0.02"]


def test_picture_sets(tmp_path, run_here):
    """Sets whose files are not there are left out; rows that are there are not made again."""
    out = tmp_path / "pictures.jsonl"
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pictures = (rng.integers(0, 60, (40, 28, 28)) + 180 * labels[:, None, None]).astype(np.uint8)
    for name, head, content in (("images-idx3", 16, pictures), ("labels-idx1", 8, labels.astype(np.uint8))):
        (tmp_path / f"mnist-t10k-{name}-ubyte.gz").write_bytes(gzip.compress(bytes(head) + content.tobytes()))
    settings = '{"n_cycles": 1, "n_warmup_epochs": 1}'
    few = ("--data", tmp_path, "--rows", 24, "--half", "--params", settings, "--out", out)
    said = run_here("picture_sets.py", *few, "--sets", "mnist,notmnist", "--noises", "clean,asym-40")
    assert "left out: notmnist" in said
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["set"], row["noise"]) for row in rows] == [("mnist", "clean"), ("mnist", "asym-40")]
    assert all(row["shape"] == [24, 14, 14, 1] for row in rows)
    assert [row["right_labels"] for row in rows] == [1.0, pytest.approx(0.6, abs=0.3)]
    assert all(row["images_seen"] > 24 and 0 <= row["plain"] <= 1 for row in rows)
    said = run_here("picture_sets.py", *few, "--sets", "mnist", "--noises", "clean,asym-40")
    assert len(out.read_text().splitlines()) == 2 and "asym-40" in said


def test_wide_sets(tmp_path, run_here):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2100, 6)).astype(np.float32), rng.integers(0, 4, 2100)
    np.savez(tmp_path / "noisyagnews_minilm.npz", X_train=X, y_train_clean=y)
    np.savez(tmp_path / "labelme_vgg.npz", X_train=X[:30], y_train_clean=y[:30], X_test=X[30:], y_test=y[30:])
    pixels = rng.integers(0, 256, (3000, 4)).astype(np.uint8)
    for name, head, content in (("images-idx3", 16, pixels), ("labels-idx1", 8, pixels[:, 0] % 10)):
        packed = gzip.compress(bytes(head) + content.tobytes())
        (tmp_path / f"t10k-{name}-ubyte.gz").write_bytes(packed)
    words = ["what is a", "who was the", "where is the", "how many"]
    texts = [f"{i % 4} {words[i % 4]} w{i % 37} w{i % 41} w{i % 43} w{i % 47} ?" for i in range(400)]
    (tmp_path / "TREC.train.all").write_text("\n".join(texts))
    np.savetxt(tmp_path / "sat.train", np.c_[rng.integers(0, 99, (50, 36)), np.arange(50) % 6], delimiter=",", fmt="%d")
    np.savetxt(tmp_path / "sat.test", np.c_[rng.integers(0, 99, (20, 36)), np.arange(20) % 6], delimiter=",", fmt="%d")
    savemat(tmp_path / "USPSdata_20_uni.mat", {"X": rng.random((30, 256)), "Y": 1 + np.arange(30)[:, None] % 10})
    said = run_here("wide_sets.py", "--data", tmp_path, "--out", tmp_path / "few")
    assert "left out" in said and "banking77_minilm.npz" in said
    run_here("wide_sets.py", "--data", tmp_path, "--out", tmp_path / "more", "--more")
    sizes = {path.stem: len(np.load(path)["y"]) for path in tmp_path.glob("*/*.npz")}
    assert sizes == {
        "news400": 400,
        "news1000": 1000,
        "scenes30": 30,
        "scenes458": 458,
        "mnist1000": 1000,
        "mnist2000": 2000,
        "trec": 400,
        "satimage": 70,
        "usps": 30,
    }
    found = np.load(tmp_path / "few" / "mnist1000.npz")
    assert np.array_equal(found["X"][:, 0] % 10, found["y"])
    rows = {row.tobytes(): label for row, label in zip(X, y, strict=True)}
    found = np.load(tmp_path / "more" / "news1000.npz")
    assert all(rows[row.tobytes()] == label for row, label in zip(found["X"], found["y"], strict=True))


@pytest.mark.slow
def test_bench_cycle(tmp_path):
    out = tmp_path / "out.json"
    said = run(
        "bench_cycle.py", "--n", 64, "--batch", 32, "--repeats", 1, "--workers", 0, "--device", "cpu", "--out", out
    )
    assert "the plain loop takes" in said
    found = json.loads(out.read_text())
    steps = {"E-step of g", "E-step of f", "M-step of f", "resampling", "M-step of g", "cycle"}
    assert set(found["ours"]) == set(found["plain"]) == steps
    assert found["flop"] > 64 * 1e7


@pytest.mark.slow
def test_hard_start(cifar10n, tmp_path):
    out = tmp_path / "out.json"
    params = json.dumps({"n_cycles": 2, "n_warmup_epochs": 2})
    options = ["--data", cifar10n, "--n", 60, "--params", params, "--checkpoints", tmp_path / "fits", "--out", out]
    said = run("hard_start.py", *options, "--seeds", 0, 1)
    assert said.count("flywheel  test") == 2
    (tmp_path / "out_1.json").unlink()
    again = run("hard_start.py", *options, "--seeds", 0, 1)
    assert "cycle" not in again.split("the last cycle")[0]  # seed 0 is there, the fit of seed 1 is loaded
    found = json.loads((tmp_path / "out_1.json").read_text())
    assert found["plain"]["images_seen"] == found["flywheel"]["images_seen_by_f"]
    assert len(found["flywheel"]["cycles"]) == 2


@pytest.mark.slow
def test_bench_ranks(tmp_path):
    out = tmp_path / "out.json"
    said = run("bench_ranks.py", "--pictures", 64, "--cycles", 2, "--fits", "small ResNet", "--json", out, "--check")
    assert "rows a second, ratio" in said
    found = json.loads(out.read_text())["fits"]["small ResNet"]
    assert set(found["rows_per_second"]) == {"1", "2"}


@pytest.mark.slow
def test_time_table(tmp_path):
    out = tmp_path / "out.json"
    said = run("time_table.py", "--rows", 200, 400, "--json", out)
    assert said.count("folds") == 4 and said.count("plain") == 2
    assert run("time_table.py", "--rows", 200, 400, "--json", out) == said  # cells that are there are not run again
    assert [(cell["rows"], cell["nets"]) for cell in json.loads(out.read_text())["cells"]] == [
        (200, "folds"),
        (400, "folds"),
        (200, "plain"),
        (400, "plain"),
    ]


def made_texts(folder, run_here):
    """Texts of words that go with their label, as `hard_sets.py` stores them: the folder of sets, what it said."""
    rng = np.random.default_rng(0)
    lines = [f"{i % 2} " + " ".join(f"w{rng.integers(150) + 100 * (i % 2)}" for _ in range(12)) for i in range(240)]
    (folder / "custrev.all").write_text("\n".join([*lines, "2 a class of one line"]), "latin1")
    return folder / "sets", run_here("hard_sets.py", "--data", folder, "--out", folder / "sets")


def test_hard_sets(tmp_path, run_here):
    sets, said = made_texts(tmp_path, run_here)
    assert "custrev: 240 rows of 100 features, 2 classes" in said and "left out: subj.all" in said
    stored = np.load(sets / "custrev.npz")
    np.testing.assert_allclose(np.linalg.norm(stored["X"], axis=1), 1, rtol=1e-5)
    assert np.bincount(stored["y"]).tolist() == [120, 120]


@pytest.mark.slow
def test_how_far_sets_are_told_apart(tmp_path, run_here, monkeypatch):
    """What told_apart.py says of these texts and of digits."""
    sets, _ = made_texts(tmp_path, run_here)
    monkeypatch.setattr("noisyflywheel.estimator.auto.separability.N_TREES", 20)
    run_here("told_apart.py", "--sets", sets, "--out", tmp_path / "told.json")
    found = {line["set"]: line for line in json.loads((tmp_path / "told.json").read_text())}
    assert len(found) == 9 and found["digits sym-50"]["tells"]
    assert found["custrev clean"]["value"] > 0.5
    run_here("told_apart.py", "--sets", sets, "--quiet", "--out", tmp_path / "quiet.json")
    found = {line["set"]: line for line in json.loads((tmp_path / "quiet.json").read_text())}
    assert len(found) == 9 and found["digits sym-50"]["quiet_z"] < 0 and abs(found["digits sym-50"]["few_z"]) < 3


def test_tweets_of_the_hard_sets_have_the_label_of_one_annotator(tmp_path, run_here):
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    tweets = [" ".join(f"w{rng.integers(150) + 100 * k}" for _ in range(12)) for k in y]
    votes = 2 * np.eye(3, dtype=int)[y]
    votes[::2, 0] += 1  # of every second tweet one annotator in three says 0
    names = ["hate_speech", "offensive_language", "neither"]
    found = pd.DataFrame(votes, columns=names).assign(**{"class": y, "tweet": tweets})
    found.to_csv(tmp_path / "labeled_data.csv")
    assert "tweets: 240 rows of 200 features" in run_here("hard_sets.py", "--data", tmp_path, "--out", tmp_path)
    stored = np.load(tmp_path / "tweets.npz")
    train, _ = train_test_split(np.arange(240), test_size=0.3, random_state=1, stratify=stored["y"])
    given, right = stored["annotator_1"], stored["y"][train]
    assert set(given[given != right]) == {0} and 0.05 < (given != right).mean() < 0.2  # a ninth


def test_headlines_of_the_hard_sets_have_the_labels_of_rules(tmp_path, run_here):
    rng = np.random.default_rng(0)
    names = np.array(["Africa", "Health", "World"])
    y = np.arange(240) % 3
    titles = [" ".join(f"{'xyz'[k]}{rng.integers(10**6)}" for _ in range(8)) for k in y]
    for language in ("hausa", "yoruba"):
        folder = tmp_path / f"{language}_newsclass"
        folder.mkdir()
        for name, labels in (
            ("train_clean", names[y]),
            ("train_clean_noisy_labels", np.where(y == 2, "Africa", names[y])),
        ):
            table = pd.DataFrame({"news_title": titles, "label": labels})
            table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    assert "yoruba: 240 rows of 100 features, 3 classes" in run_here(
        "hard_sets.py", "--data", tmp_path, "--out", tmp_path
    )
    stored = np.load(tmp_path / "hausa.npz")
    train, _ = train_test_split(np.arange(240), test_size=0.3, random_state=2, stratify=stored["y"])
    assert_array_equal(stored["rules_2"], np.array([0, 1, 0])[stored["y"][train]])


def test_intents_of_the_hard_sets_are_queries_with_their_class(tmp_path, run_here):
    rng = np.random.default_rng(0)
    queries = [[" ".join(f"w{rng.integers(150) + 150 * (i % 3)}" for _ in range(12)), "abc"[i % 3]] for i in range(240)]
    parts = {"train": queries[:100], "val": queries[100:120], "test": queries[120:], "oos_train": [["nothing", "oos"]]}
    (tmp_path / "data_full.json").write_text(json.dumps(parts))
    assert "intents: 240 rows of 200 features, 3 classes" in run_here(
        "hard_sets.py", "--data", tmp_path, "--out", tmp_path
    )
    with np.load(tmp_path / "intents.npz") as stored:
        assert_array_equal(np.bincount(stored["y"]), [80, 80, 80])
        near = (
            LogisticRegression().fit(stored["X"][:120], stored["y"][:120]).score(stored["X"][120:], stored["y"][120:])
        )
    assert near > 0.9


def test_versions(tmp_path):
    """Two revisions of a repository whose benchmark reports what its own package says."""
    folder = tmp_path / "examples" / "benchmarks"
    folder.mkdir(parents=True)
    shutil.copy(FOLDER / "versions.py", folder)
    (folder / "core_bars.py").write_text(
        "import json, sys, said\n"
        "row = {'set': sys.argv[2], 'seed': int(sys.argv[4]), 'auroc_label_quality': None}\n"
        "row['test_accuracy'] = said.ACCURACY\n"
        "open(sys.argv[-1], 'w').write(json.dumps({'rows': [row]}))\n"
    )
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    names = []
    subprocess.run([*git, "init", "-q"], check=True)
    for accuracy in (0.75, 0.5):
        (tmp_path / "said.py").write_text(f"ACCURACY = {accuracy}\n")
        subprocess.run([*git, "add", "said.py", "examples"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
        names.append(subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip())
    command = [folder / "versions.py", tmp_path / "kept", "HEAD~", "HEAD", "--sets", "a", "--seeds", 7]
    table = (
        f"| set | seed | test {names[0]} | test {names[1]} | AUROC {names[0]} | AUROC {names[1]} |\n"
        "|---|---|---|---|---|---|\n"
        "| a | 7 | 0.7500 | 0.5000 |  |  |\n"
    )
    assert run(*command, "--out", tmp_path / "table.md") == table
    assert (tmp_path / "table.md").read_text() == table
    (folder / "core_bars.py").unlink()
    assert run(*command) == table  # from the kept files


def test_probabilities(tmp_path):
    """Six classes that are far apart, and ten rows that people were asked for, of which two are wrong."""
    rng = np.random.default_rng(0)
    y = np.arange(77 * 20) % 77
    X = (np.eye(77)[y] + 0.05 * rng.normal(size=(len(y), 77))).astype(np.float32)
    np.savez(tmp_path / "banking77_minilm.npz", X_train=X, y_train=y)
    given = np.arange(60) % 3
    proba = 0.1 + 0.7 * np.eye(3)[given]
    proba[:2] = proba[1::-1]
    for name in ("mnist", "cifar10", "20news"):
        np.save(tmp_path / f"{name}_test_set_pyx.npy", proba)
        np.save(tmp_path / f"{name}_test_set_original_labels.npy", given)
        asked = [
            {"id": row, "mturk": {"given": 2 if row < 2 else 3, "guessed": 3 if row < 2 else 2}} for row in range(10)
        ]
        (tmp_path / f"{name}_mturk.json").write_text(json.dumps(asked))
    where = ("--data", tmp_path, "--label-errors", tmp_path, "--out", tmp_path / "out.jsonl")
    run("probabilities.py", *where, "--classes", "6", "--sizes", "200x4")
    _, *rows = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert [row["set"] for row in rows] == ["mnist", "cifar10", "20news"] + ["banking6"] * 6 + ["made 200 x 4"]
    assert rows[0]["wrong"] == rows[0]["suspects wrong ours"] == rows[0]["suspects asked ours"] == 2
    assert rows[0]["auroc ours"] == rows[0]["auroc cleanlab"] == 1
    for row in rows[3:9]:
        assert row["n"] == 120 and 15 < row["wrong"] < 55
        assert row["auroc ours"] > 0.95
