"""
Find wrong labels among digits
==============================

Half of the labels of 600 handwritten digits are drawn anew. The flywheel sees only these labels.
"""

from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric
from noisyflywheel.plot import LabelIssuesDisplay

X, y = load_digits(return_X_y=True)
X, y = X[:600], y[:600]
given = symmetric(y, 0.5, random_state=0)
clf = FlywheelClassifier(n_cycles=12, random_state=0).fit(X, given)

# %%
# The ten labels that are least likely to be right, each with what it should be.
LabelIssuesDisplay.from_estimator(clf, X, n_worst=10, image_shape=(8, 8))

# %%
# How often the verdict is right can be counted here, because the truth is known.
issues = clf.get_label_issues()
suspect, wrong = issues["is_label_issue"].to_numpy(), given != y
found = (suspect & wrong).sum()
print(f"{wrong.sum()} labels are wrong, {suspect.sum()} are suspected, {found} of these are wrong")
