import sys

import numpy as np
import pytest

from noisyflywheel.data.encoder.text import SentenceEmbedder, TextEmbedder, as_texts, make_embedder

TEXTS = ["red apple pie", "green apple tart", None, "fast blue car", "slow blue bus", "blue"]


def test_texts():
    assert as_texts(["a", None, float("nan"), 3]) == ["a", "", "", "3"]
    assert as_texts([["a", "b"], np.array([]), None]) == ["['a', 'b']", "[]", ""]


def test_tfidf_gives_unit_vectors_that_know_words():
    embedder = TextEmbedder(4)
    X = embedder.fit_transform(TEXTS)
    assert X.shape == (6, 4)
    norms = np.linalg.norm(X, axis=1)
    np.testing.assert_allclose(norms[[0, 1, 3, 4, 5]], 1, rtol=1e-6)
    assert norms[2] == 0
    assert X[0] @ X[1] > X[0] @ X[3]
    np.testing.assert_allclose(embedder.transform(TEXTS), X, atol=1e-6)


def test_few_words_make_fewer_vectors():
    assert TextEmbedder().fit_transform(["a b", "c d", "a d"]).shape[1] <= 3


def test_choice():
    assert isinstance(make_embedder("some-model"), SentenceEmbedder)
    assert make_embedder(None, "note").name == "note"


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match="pip install"):
        SentenceEmbedder("some-model").fit(TEXTS)


def test_with_a_model(monkeypatch):
    class Model:
        def __init__(self, name):
            self.name = name

        def get_sentence_embedding_dimension(self):
            return 2

        def encode(self, texts, batch_size, normalize_embeddings):
            return np.array([[len(t), 1.0] for t in texts], dtype=np.float32)

    module = type(sys)("sentence_transformers")
    module.SentenceTransformer = Model
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    X = SentenceEmbedder("m").fit_transform(["ab", None])
    np.testing.assert_array_equal(X, [[2, 1], [0, 1]])


def test_one_word_says_nothing():
    with pytest.raises(ValueError, match="the column 'note' holds one word only"):
        TextEmbedder(4, name="note").fit(["yes", "yes", None])
