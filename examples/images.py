"""Pictures with wrong labels: uint8 arrays go in, stay uint8, and each label gets a verdict.

500 handwritten digits of 8 x 8 pixels, the labels of 30 % redrawn at random, and the small residual network that
`FlywheelClassifier` builds for pictures. Digits have a right way round, so the weak view may shift them but not
mirror them. A sheet of the labels least likely to be right is saved if a file name is given.

    python examples/images.py
    python examples/images.py worst.png
"""

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric
from noisyflywheel.views import ImageViews

N_TRAIN = 500


def main(picture: str | None = None) -> None:
    data = load_digits()
    X = (data.images * (255 / 16)).astype(np.uint8)  # (n, 8, 8), grey
    X_train, y_train, X_test, y_test = X[:N_TRAIN], data.target[:N_TRAIN], X[N_TRAIN:], data.target[N_TRAIN:]
    given = symmetric(y_train, 0.3, random_state=0)
    wrong = given != y_train
    print(f"{len(given)} pictures, {wrong.sum()} of the labels wrong")

    views = ImageViews(pad=1, flip=False)
    flywheel = FlywheelClassifier(views=views, n_warmup_epochs=10, n_cycles=10, random_state=0).fit(X_train, given)
    print(f"test accuracy: {flywheel.score(X_test, y_test):.1%}")
    print(f"AUROC of label_quality: {roc_auc_score(~wrong, flywheel.label_quality_):.3f}")
    print(flywheel.get_class_summary()[["class_label", "n_given", "n_suspected", "noise_rate"]].round(3).to_string())

    if picture is not None:
        from noisyflywheel.plot import LabelIssuesDisplay

        LabelIssuesDisplay.from_estimator(flywheel, X_train, n_worst=20).figure_.savefig(picture)
        print(f"saved {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
