"""Your own nets inside a grid search: parameters of nets, losses and views under scikit-learn's names.

`main_net` is g, which judges the labels; `aux_net` is f, which predicts. A double underscore reaches into them and
into the views. The score is the agreement with the given labels, which are wrong in part: noise that does not
depend on the model lowers every candidate alike, so the order of the candidates still tells.

    python examples/grid_search.py
"""

import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.noise import symmetric
from noisyflywheel.views import VectorViews


def make_classifier() -> FlywheelClassifier:
    """A flywheel of two small nets, each with an optimizer of its own."""
    net = NeuralNetClassifier(
        MLP,
        module__hidden=(64,),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.02,
        batch_size=32,
        train_split=None,
    )
    return FlywheelClassifier(net, net, views=VectorViews(), n_warmup_epochs=5, n_cycles=5, random_state=0)


def main() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    given = symmetric(y_train, 0.3, random_state=0)

    grid = [
        {"aux_net__lr": [0.005, 0.02]},
        {"cr_weight": [1.0, 3.0]},
        {"views__noise": [0.3, "auto"]},
    ]
    search = GridSearchCV(make_classifier(), grid, cv=2, error_score="raise").fit(X_train, given)
    table = pd.DataFrame(search.cv_results_)[["params", "mean_test_score", "mean_fit_time"]]
    print(table.sort_values("mean_test_score", ascending=False).round(3).to_string(index=False))
    print(f"best: {search.best_params_}; {search.score(X_test, y_test):.1%} of the clean test labels")


if __name__ == "__main__":
    main()
