"""A table in mixed units with wrong labels: the flywheel beside a linear model, and its verdict on each label.

The 178 wines of scikit-learn's own data set have 13 measurements on scales from 0.1 to 1,700. A third of the
training labels is redrawn at random. The table goes in as it is: the default net scales its own input.

    python examples/table.py
"""

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric


def main() -> None:
    X, y = load_wine(return_X_y=True, as_frame=True)
    y = y.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    given = symmetric(y_train, 0.35, random_state=0)
    wrong = np.asarray(given != y_train)
    print(f"{len(given)} wines, {wrong.sum()} of the labels wrong")

    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, given)
    flywheel = FlywheelClassifier(random_state=0).fit(X_train, given)
    print(f"linear model   {linear.score(X_test, y_test):.1%} of the test wines right")
    print(f"the flywheel   {flywheel.score(X_test, y_test):.1%}")

    issues = flywheel.get_label_issues()
    print(f"AUROC of label_quality: {roc_auc_score(~wrong, issues['label_quality']):.3f}")
    shown = issues.assign(true_label=y_train).sort_values("label_quality").head(8)
    print(shown[["given_label", "refurbished_label", "true_label", "label_quality"]].round(3).to_string())


if __name__ == "__main__":
    main()
