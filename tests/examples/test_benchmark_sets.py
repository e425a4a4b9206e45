"""The benchmark scripts that make sets of data for tables.py, on made files."""

import gzip
import importlib
import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.io import savemat
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split


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


def test_tables_with_a_tail(tmp_path, run_here):
    """Classes of 80, 300 and 120 rows, the rarest a tenth of the most frequent one: 300, 94 and 30 are kept."""
    head = "@relation numbers\n@attribute a numeric\n@attribute class {x,y,z}\n@data\n"
    lines = [f"{i},{'xyz'[k]}" for i, k in enumerate(np.repeat([0, 1, 2], [80, 300, 120]))]
    (tmp_path / "tail.arff").write_text(head + "\n".join(lines))
    run_here("arff_tables.py", "--data", tmp_path, "--out", tmp_path / "tables", "--tail", 0.1)
    found = np.load(tmp_path / "tables" / "tail.npz")
    assert np.bincount(found["y"]).tolist() == [30, 300, 94]
    assert (np.digitize(found["X"][:, 0], [80, 380]) == found["y"]).all()


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


def test_hard_sets(made_texts):
    sets, said = made_texts
    assert "custrev: 240 rows of 100 features, 2 classes" in said and "left out: subj.all" in said
    stored = np.load(sets / "custrev.npz")
    np.testing.assert_allclose(np.linalg.norm(stored["X"], axis=1), 1, rtol=1e-5)
    assert np.bincount(stored["y"]).tolist() == [120, 120]


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
