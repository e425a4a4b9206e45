"""Texts that rules, or a table of facts, have labelled and people too, for `tables.py`.

``--data`` is a folder with headlines in Hausa and Yoruba (``hausa_newsclass`` and ``yoruba_newsclass`` of
https://github.com/uds-lsv/transfer-distant-transformer-african), with messages and questions and the regular
expressions that label them (``SMS`` and ``TREC`` of ``data`` in https://github.com/awasthiabhijeet/Learning-From-Rules),
and with sentences of medical papers (``ground_truth_treat.csv`` and ``ground_truth_cause.csv`` of
https://github.com/CrowdTruth/Medical-Relation-Extraction); what is not there is left out.

The kind of labels "rules" has, for the training rows of seeds 0 to 2, the label of most rules that speak of a message
or a question, by lot among equal ones (texts of which no rule speaks are left out), that of lists of words for
headlines, and for a sentence whether its two terms are known to be related (distant supervision). What people say is
taken for right: of a sentence the verdict of a crowd. Texts become latent semantic analysis, of parts of words for
headlines.

    python examples/benchmarks/rules_sets.py --data DIR --out sets
"""

import argparse
import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
from hard_sets import of_training_rows, semantic, store

QUESTIONS = {
    "ABBR": "ABBREVIATION",
    "DESC": "DESCRIPTION",
    "ENTY": "ENTITY",
    "HUM": "HUMAN",
    "LOC": "LOCATION",
    "NUM": "NUMERIC",
}
"""The names that rules give the classes."""

PARTS = ("train", "valid", "test")


def headlines(folder):
    for language in ("hausa", "yoruba"):
        of_people, of_rules = (
            pd.read_csv(folder / f"{language}_newsclass" / f"{name}.tsv", sep="\t", quoting=csv.QUOTE_NONE)
            for name in ("train_clean", "train_clean_noisy_labels")
        )
        lines = list(zip(of_people["label"], of_people["news_title"], strict=True))
        X, y = semantic(lines, 100, analyzer="char_wb", ngram_range=(2, 5))
        rules = pd.Index(np.unique(of_people["label"])).get_indexer(of_rules["label"])
        yield language, X, y, of_training_rows(y, {"rules": rules})


def messages(folder):
    """Messages to telephones, "ham" or "spam"."""
    table = pd.concat([pd.read_csv(folder / "SMS" / f"{part}.csv") for part in PARTS])
    yield "messages", *by_rules(list(table.itertuples(index=False, name=None)), folder / "SMS" / "rule.txt")


def questions(folder):
    """Questions by what they ask for, six classes."""
    files = [folder / "TREC" / f"{part}.txt" for part in PARTS]
    lines = [line.split(":", 1) for file in files for line in file.read_text("latin1").splitlines()]
    lines = [(QUESTIONS[label], text) for label, text in lines]
    yield "questions", *by_rules(lines, folder / "TREC" / "rule.txt")


def by_rules(lines, file):
    """Features, labels of people and of rules, of the lines that a rule speaks of.

    ``file`` has a label and a regular expression a line, set apart by tabulators.
    """
    classes = np.unique([label for label, _ in lines])
    votes = np.zeros((len(lines), len(classes)))
    for rule in file.read_text("latin1").splitlines():
        label, pattern = rule.split("\t")[:2]
        found = re.compile(pattern, re.IGNORECASE)
        votes[:, classes == label] += [[found.search(text) is not None] for _, text in lines]
    spoken_of = np.flatnonzero(votes.any(1))
    by_lot = np.random.default_rng(0).random(votes.shape) / 2
    rules = (votes + by_lot)[spoken_of].argmax(1)
    X, y = semantic([lines[i] for i in spoken_of], 100)
    return X, y, of_training_rows(y, {"rules": rules})


def sentences(folder):
    """Sentences with two terms: does one treat, or cause, the other?"""
    for relation in ("treat", "cause"):
        table = pd.read_csv(folder / f"ground_truth_{relation}.csv")
        lines = [(row.crowd > 0, with_marks(row)) for row in table.itertuples()]
        X, y = semantic(lines, 100)
        yield relation, X, y, of_training_rows(y, {"rules": (table["baseline"] > 0).to_numpy().astype(int)})


def with_marks(row):
    """The sentence with a mark in the place of each of its terms."""
    text = row.sentence
    for start, end, mark in sorted([(row.b1, row.e1, " FIRST "), (row.b2, row.e2, " SECOND ")], reverse=True):
        text = text[: int(start)] + mark + text[int(end) :]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    store((headlines, messages, questions, sentences), args.data, args.out)


if __name__ == "__main__":
    main()
