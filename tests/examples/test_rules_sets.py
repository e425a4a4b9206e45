"""Texts with labels of people and of rules, from made files."""

import numpy as np
import pandas as pd
from numpy.testing import assert_array_equal
from sklearn.model_selection import train_test_split


def test_headlines_have_the_labels_of_rules(tmp_path, run_here):
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
        "rules_sets.py", "--data", tmp_path, "--out", tmp_path
    )
    stored = np.load(tmp_path / "hausa.npz")
    train, _ = train_test_split(np.arange(240), test_size=0.3, random_state=2, stratify=stored["y"])
    assert_array_equal(stored["rules_2"], np.array([0, 1, 0])[stored["y"][train]])


def of_training_rows(labels, y, seed):
    """Those of the split of `table_data`."""
    return labels[train_test_split(np.arange(len(y)), test_size=0.3, random_state=seed, stratify=y)[0]]


def write_messages(folder):
    """80 messages that win, 80 that do not, 80 that say both and are no spam, 20 that no rule knows."""
    folder.mkdir()
    words = np.random.default_rng(0).integers(0, 150, (260, 8))
    own = ["WIN a cash prize", "see you at home", "you win a home"]
    texts = [f"{own[i // 80] if i < 240 else ''} " + " ".join(f"w{word}" for word in words[i]) for i in range(260)]
    table = pd.DataFrame({"v1": ["spam"] * 80 + ["ham"] * 180, "v2": texts})
    for part, rows in (("train", slice(0, 200)), ("valid", slice(200, 220)), ("test", slice(220, 260))):
        table[rows].to_csv(folder / f"{part}.csv", index=False)
    rules = ["spam\t\\bwin\\b\tan example", "spam\t( |^)prize\tan example", "ham\t(see you|home)\tan example"]
    (folder / "rule.txt").write_text("\n".join(rules))


def test_messages_have_the_label_of_most_rules(tmp_path, run_here):
    write_messages(tmp_path / "SMS")
    said = run_here("rules_sets.py", "--data", tmp_path, "--out", tmp_path)
    assert "messages: 240 rows of 100 features, 2 classes" in said and said.count("left out") == 3
    stored = np.load(tmp_path / "messages.npz")
    assert_array_equal(stored["y"], np.repeat([1, 0, 0], 80))
    group, rules = of_training_rows(np.repeat([0, 1, 2], 80), stored["y"], 1), stored["rules_1"]
    assert set(rules[group == 0]) == {1} and set(rules[group == 1]) == {0}
    assert 0.3 < rules[group == 2].mean() < 0.7  # one rule says each: by lot


def test_questions_have_the_names_that_rules_give_them(tmp_path, run_here):
    folder, words = tmp_path / "TREC", np.random.default_rng(0).integers(0, 150, (240, 8))
    folder.mkdir()
    asks = [["NUM:how many \xf0", "LOC:where is", "HUM:who is"][i % 3] for i in range(240)]
    lines = [f"{ask} " + " ".join(f"w{w}" for w in row) for ask, row in zip(asks, words, strict=True)]
    for part, some in (("train", lines[:120]), ("valid", lines[120:180]), ("test", lines[180:])):
        (folder / f"{part}.txt").write_text("\n".join(some), "latin1")
    rules = ["NUMERIC\thow many\t", "LOCATION\t(where|who) is\t"]
    (folder / "rule.txt").write_text("\n".join(rules))
    assert "questions: 240 rows" in run_here("rules_sets.py", "--data", tmp_path, "--out", tmp_path)
    stored = np.load(tmp_path / "questions.npz")  # HUMAN, LOCATION, NUMERIC
    assert_array_equal(stored["y"], np.tile([2, 1, 0], 80))
    assert_array_equal(stored["rules_0"], of_training_rows(np.array([1, 1, 2])[stored["y"]], stored["y"], 0))


def test_sentences_are_read_without_the_names_of_their_terms(tmp_path, run_here):
    """Only names tell what the crowd says: with marks in their places features of both classes are alike."""
    n = 200
    lines = []
    for i in range(n):
        first, second = ("asthma", "rest") if i % 2 else ("flu", "tea")
        text = f"of {first} and of {second} we know that w{i // 2} w{i // 4} is said"
        b1, b2 = text.index(first), text.index(second)
        lines.append((1 - 2 * (i % 2), -1 + 2 * (i % 5 == 0), text, b1, b1 + len(first), b2, b2 + len(second)))
    table = pd.DataFrame(lines, columns=["crowd", "baseline", "sentence", "b1", "e1", "b2", "e2"])
    for relation in ("treat", "cause"):
        table.to_csv(tmp_path / f"ground_truth_{relation}.csv", index=False)
    said = run_here("rules_sets.py", "--data", tmp_path, "--out", tmp_path)
    assert "treat: 200 rows" in said and "cause: 200 rows" in said
    stored = np.load(tmp_path / "cause.npz")
    assert_array_equal(stored["y"], np.tile([1, 0], n // 2))
    assert_array_equal(stored["rules_0"], of_training_rows((np.arange(n) % 5 == 0).astype(int), stored["y"], 0))
    np.testing.assert_allclose(stored["X"][::2], stored["X"][1::2], atol=1e-5)
