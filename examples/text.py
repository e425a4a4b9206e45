"""Texts with wrong labels: each sentence says which data set it describes, and some say it wrongly.

The sentences come from the descriptions that scikit-learn ships with its data sets, so nothing is downloaded.
TF-IDF and SVD turn them into vectors inside a pipeline; any sentence embedding fits in their place.

    python examples/text.py
"""

import re
from importlib.resources import files

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import asymmetric

TOPICS = ("breast_cancer", "kddcup99", "lfw", "twenty_newsgroups", "wine_data")
WORDS_A_PIECE = 12


def load_pieces() -> tuple[list[str], np.ndarray]:
    """Pieces of the descriptions, a dozen words each, and the data set that each describes."""
    texts, topics = [], []
    for topic in TOPICS:
        words = re.findall(r"[A-Za-z]{2,}", (files("sklearn.datasets.descr") / f"{topic}.rst").read_text("utf-8"))
        pieces = [" ".join(words[i : i + WORDS_A_PIECE]) for i in range(0, len(words), WORDS_A_PIECE)]
        texts += pieces
        topics += [topic.removesuffix("_data")] * len(pieces)
    return texts, np.array(topics)


def main() -> None:
    texts, topics = load_pieces()
    given = asymmetric(topics, 0.2, random_state=0)
    wrong = given != topics
    print(f"{len(texts)} pieces of text, {wrong.sum()} of the labels wrong")

    vectors = make_pipeline(TfidfVectorizer(sublinear_tf=True), TruncatedSVD(64, random_state=0), Normalizer())
    model = make_pipeline(vectors, FlywheelClassifier(n_cycles=30, random_state=0)).fit(texts, given)

    flywheel = model[-1]
    issues = flywheel.get_label_issues()
    print(f"AUROC of label_quality: {roc_auc_score(~wrong, issues['label_quality']):.3f}")
    print(f"labels right before {np.mean(~wrong):.1%}, after {np.mean(flywheel.refurbished_labels_ == topics):.1%}")
    for row, line in issues.sort_values("label_quality").head(6).iterrows():
        print(f"\n{texts[row]!r}\n    given {line.given_label}, suggested {line.refurbished_label}, is {topics[row]}")


if __name__ == "__main__":
    main()
