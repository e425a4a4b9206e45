"""Texts as vectors: a sentence-transformers model where one is named, else TF-IDF and SVD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from noisyflywheel.data.encoder.notation import decoded

MAX_WORDS = 20_000


def as_texts(column: Iterable[Any]) -> list[str]:
    """Cells as text; missing ones are empty."""
    return ["" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(decoded(cell)) for cell in column]


class TextEmbedder(TransformerMixin, BaseEstimator):
    """Words and pairs of words, weighted by TF-IDF and projected by SVD; vectors of length 1, no download.

    Parameters
    ----------
    n_components : int, default 128
        Length of the vectors; shorter where there are fewer words or texts.
    name : str, default "text"
        In front of the names of the features.
    """

    def __init__(self, n_components: int = 128, name: str = "text") -> None:
        self.n_components = n_components
        self.name = name

    def fit(self, X: Any, y: Any = None) -> TextEmbedder:
        """Learn the words of texts of shape (n,)."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.floating]:
        """Learn the words and return the vectors, of shape (n, at most `n_components`)."""
        texts = as_texts(X)
        self.words_ = TfidfVectorizer(
            sublinear_tf=True,
            dtype=np.float32,
            ngram_range=(1, 2),
            max_features=MAX_WORDS,
            token_pattern=r"(?u)\b\w+\b",
        )
        try:
            counts = self.words_.fit_transform(texts)
        except ValueError as error:
            raise ValueError(f"the column {self.name!r} holds no words") from error
        if counts.shape[1] < 2:
            raise ValueError(f"the column {self.name!r} holds one word only")
        self.n_components_ = max(1, min(self.n_components, min(counts.shape) - 1))
        self.svd_ = TruncatedSVD(self.n_components_, random_state=0)
        return normalize(self.svd_.fit_transform(counts))

    def transform(self, X: Any) -> NDArray[np.floating]:
        """Unit vectors of texts of shape (n,); zero where no word is known."""
        return normalize(self.svd_.transform(self.words_.transform(as_texts(X))))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the features."""
        return np.array([f"{self.name}_{i}" for i in range(self.n_components_)], dtype=object)


class SentenceEmbedder(TransformerMixin, BaseEstimator):
    """Vectors of a sentence-transformers model (the extra `noisyflywheel[text]`).

    Parameters
    ----------
    name : str
        Name or folder of the model.
    batch_size : int, default 64
    column : str, default "text"
        In front of the names of the features.
    """

    def __init__(self, name: str, batch_size: int = 64, column: str = "text") -> None:
        self.name = name
        self.batch_size = batch_size
        self.column = column

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

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the features."""
        return np.array([f"{self.column}_{i}" for i in range(self.n_features_out_)], dtype=object)

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


def make_embedder(name: str | None, column: str = "text") -> Any:
    """The named sentence-transformers model for a column, or TF-IDF and SVD for None."""
    return TextEmbedder(name=column) if name is None else SentenceEmbedder(name, column=column)
