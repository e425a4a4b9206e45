"""Sets of wide features in one unit that tell little of the classes, and some that tell much, for `tables.py`.

``--data`` is a folder with texts as published for sentence classification, a label and a text a line
(``custrev.all``, ``mpqa.all``, ``rt-polarity.all``, ``stsa.binary.train``, ``stsa.fine.train``, ``subj.all``,
``TREC.train.all``), with tweets and how many annotators saw what in each (``labeled_data.csv`` of
https://github.com/t-davidson/hate-speech-and-offensive-language), with queries of 150 intents (``data_full.json`` of
https://github.com/clinc/oos-eval), with MNIST's ``t10k-images-idx3-ubyte.gz`` and ``t10k-labels-idx1-ubyte.gz``, and
with ``cifar10n.npz`` (JPEG pictures of CIFAR-10 and human labels, CIFAR-10N); files that are not there are left out.
Texts become latent semantic analysis, pictures principal components or histograms of oriented gradients; of MNIST's
pictures "mnist" has the pixels and "mnistcrops" parts of 16 x 16 at random places, at half the resolution. Human labels
are kinds of labels of their own: "annotator" for tweets, one annotator's each, where the majority of three or more is
taken for right; "aggre", "random1" and "worse" for pictures. `rules_sets.py` has texts that rules have labelled.

    python examples/benchmarks/hard_sets.py --data DIR --out sets
"""

import argparse
import gzip
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split

TEXTS = {
    "custrev": ("custrev.all", 100),
    "mpqa": ("mpqa.all", 100),
    "polarity": ("rt-polarity.all", 200),
    "stsabinary": ("stsa.binary.train", 200),
    "stsafine": ("stsa.fine.train", 200),
    "subj": ("subj.all", 100),
    "trec": ("TREC.train.all", 100),
}
MOST = 6000


def texts(folder):
    for name, (file, n_columns) in TEXTS.items():
        if not (folder / file).exists():
            print(f"left out: {file}")
            continue
        lines = [line.split(" ", 1) for line in (folder / file).read_text("latin1").splitlines() if " " in line.strip()]
        usual = {label for label, n in Counter(label for label, _ in lines).items() if n > 50}
        lines = [line for line in lines if line[0] in usual]
        kept = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[:MOST]]
        yield name, *semantic(kept, n_columns), {}


def semantic(lines, n_columns, **of_words):
    """Labels and texts as numbers of latent semantic analysis, each row of length 1."""
    words = TfidfVectorizer(min_df=2, sublinear_tf=True, **({"ngram_range": (1, 2)} | of_words))
    X = TruncatedSVD(n_columns, random_state=0).fit_transform(words.fit_transform([text for _, text in lines]))
    X /= np.linalg.norm(X, axis=1, keepdims=True) + 1e-9
    return X, np.unique([label for label, _ in lines], return_inverse=True)[1]


def tweets(folder):
    """6,000 tweets: hate, other offence or neither; for seeds 0 to 2 the training rows have one annotator's label."""
    found = pd.read_csv(folder / "labeled_data.csv")
    found = found.iloc[np.random.default_rng(0).permutation(len(found))[:MOST]]
    X, y = semantic(list(zip(found["class"], found["tweet"], strict=True)), 200)
    votes = found[["hate_speech", "offensive_language", "neither"]].to_numpy()
    human = {}
    for seed in (0, 1, 2):
        train = training_rows(y, seed)
        up_to = (votes[train] / votes[train].sum(1, keepdims=True)).cumsum(1)
        human[f"annotator_{seed}"] = (np.random.default_rng(seed).random((len(train), 1)) > up_to).sum(1)
    yield "tweets", X, y, human


def intents(folder):
    """6,000 queries of 150 intents."""
    found = json.loads((folder / "data_full.json").read_text())
    lines = [(intent, text) for part in ("train", "val", "test") for text, intent in found[part]]
    kept = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[:MOST]]
    yield "intents", *semantic(kept, 200), {}


def training_rows(y, seed):
    """Those of the split of `table_data`."""
    return train_test_split(np.arange(len(y)), test_size=0.3, random_state=seed, stratify=y)[0]


def of_training_rows(y, labels):
    """Labels of all rows by kind, as those of the training rows for seeds 0 to 2."""
    return {f"{kind}_{seed}": given[training_rows(y, seed)] for seed in (0, 1, 2) for kind, given in labels.items()}


def mnist_test(folder):
    """MNIST's test pictures (n, 784) and their labels (n,), uint8."""
    files = [folder / f"t10k-{name}.gz" for name in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    images, labels = (gzip.decompress(file.read_bytes()) for file in files)
    y = np.frombuffer(labels, np.uint8, offset=8)
    return np.frombuffer(images, np.uint8, offset=16).reshape(len(y), -1), y


def digits(folder):
    X, y = mnist_test(folder)
    rows = np.random.default_rng(0).permutation(len(y))[:4000]
    X, y = X[rows] / 255, y[rows]
    yield "mnist", X, y, {}
    corners = np.random.default_rng(1).integers(0, 13, (len(X), 2))
    crops = [
        x[a : a + 16, b : b + 16].reshape(8, 2, 8, 2).mean((1, 3)).ravel()
        for x, (a, b) in zip(X.reshape(-1, 28, 28), corners, strict=True)
    ]
    yield "mnistcrops", np.stack(crops), y, {}


def pictures(folder):
    """6,000 pictures of CIFAR-10 twice; the gradients' set has human labels of the training rows for seeds 0 to 2."""
    found = np.load(folder / "cifar10n.npz")
    encoded, at = found["jpeg"].tobytes(), found["offsets"]
    rows = np.random.default_rng(0).permutation(50_000)[:MOST]
    images = [Image.open(io.BytesIO(encoded[at[i] : at[i + 1]])).convert("RGB") for i in rows]
    y = found["y_clean"][rows].astype(int)
    pixels = np.stack([np.asarray(image, np.float32).ravel() / 255 for image in images])
    yield "cifarpca", PCA(100, random_state=0).fit_transform(pixels), y, {}
    colours = np.stack([np.asarray(image.resize((4, 4)), np.float32).ravel() / 255 for image in images])
    X = np.concatenate([np.stack([gradients(image) for image in images]), colours], 1)
    human = {kind: found[f"y_{kind}"][rows].astype(int) for kind in ("aggre", "random1", "worse")}
    yield "cifarhog", X, y, of_training_rows(y, human)


def gradients(image):
    """Histograms of nine orientations in 8 x 8 cells, normalised in blocks of four cells."""
    grey = np.asarray(image.convert("L"), np.float32) / 255
    down, right = np.gradient(grey)
    size, angle = np.hypot(right, down), (np.arctan2(down, right) % np.pi) / np.pi * 9
    low, share = np.floor(angle).astype(int) % 9, angle - np.floor(angle)
    cells = np.zeros((8, 8, 9), np.float32)
    for k in range(9):
        part = size * ((low == k) * (1 - share) + ((low + 1) % 9 == k) * share)
        cells[:, :, k] = part.reshape(8, 4, 8, 4).sum((1, 3))
    blocks = np.stack([cells[i : i + 2, j : j + 2].ravel() for i in range(0, 8, 2) for j in range(0, 8, 2)])
    return (blocks / np.sqrt(np.square(blocks).sum(1, keepdims=True) + 0.01)).ravel()


def store(makers, folder, out):
    """Write the sets of each maker, a function of the data's folder, but for those whose files are not there."""
    out.mkdir(parents=True, exist_ok=True)
    for make in makers:
        try:
            for name, X, y, kinds in make(folder):
                X = np.asarray(X, np.float32)[:, np.ptp(X, axis=0) > 0]
                np.savez_compressed(out / f"{name}.npz", X=X, y=y.astype(int), **kinds)
                print(f"{name}: {len(X)} rows of {X.shape[1]} features, {y.max() + 1} classes", flush=True)
        except FileNotFoundError as error:
            print(f"left out: {error.filename}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    store((texts, tweets, intents, digits, pictures), args.data, args.out)


if __name__ == "__main__":
    main()
