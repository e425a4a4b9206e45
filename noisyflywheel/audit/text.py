"""Texts as vectors: a sentence-transformers model where one is named, else TF-IDF and SVD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

MAX_WORDS = 20_000


def as_texts(column: Iterable[Any]) -> list[str]:
    """Cells as text; missing ones are empty."""
    return ["" if cell is None or pd.isna(cell) else str(cell) for cell in column]


class SmallSVD(TruncatedSVD):
    """Truncated SVD that asks for no more components than the data has."""

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit and return vectors of shape (n, at most `n_components`)."""
        wanted: int = self.n_components
        self.n_components: int = max(1, min(wanted, min(X.shape) - 1))
        try:
            return super().fit_transform(X, y)
        finally:
            self.n_components = wanted


def tfidf_embedder(n_components: int = 128, random_state: int = 0) -> Pipeline:
    """Words and pairs of words, weighted by TF-IDF and projected by SVD; vectors of length 1.

    It needs no download. Texts of shape (n,) become float arrays (n, at most `n_components`).
    """
    words = TfidfVectorizer(
        sublinear_tf=True, dtype=np.float32, ngram_range=(1, 2), max_features=MAX_WORDS, token_pattern=r"(?u)\b\w+\b"
    )
    svd = SmallSVD(n_components, random_state=random_state)
    return make_pipeline(FunctionTransformer(as_texts), words, svd, Normalizer())


class SentenceEmbedder(TransformerMixin, BaseEstimator):
    """Vectors of a sentence-transformers model (the extra `noisyflywheel[text]`).

    Parameters
    ----------
    name : str
        Name or folder of the model.
    batch_size : int, default 64
    """

    def __init__(self, name: str, batch_size: int = 64) -> None:
        self.name = name
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> SentenceEmbedder:
        """Load the model, so that a wrong name fails before any work.

        Raises
        ------
        ImportError
            If sentence-transformers is not installed.
        """
        self.n_features_out_ = int(self._model().get_sentence_embedding_dimension())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Texts (n,) as unit vectors of shape (n, d), float32."""
        texts = as_texts(X)
        return self._model().encode(texts, batch_size=self.batch_size, normalize_embeddings=True)

    def _model(self) -> Any:
        """The model; it is not pickled with the transformer."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ImportError(
                "--embedder needs sentence-transformers: pip install 'noisyflywheel[text]'; "
                "without --embedder, TF-IDF is used"
            ) from error
        return SentenceTransformer(self.name)


def make_embedder(name: str | None) -> Any:
    """The named sentence-transformers model, or TF-IDF and SVD for None."""
    return tfidf_embedder() if name is None else SentenceEmbedder(name)
