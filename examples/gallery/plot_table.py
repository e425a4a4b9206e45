"""
A table in mixed units
======================

178 wines with 13 measurements on scales from 0.1 to 1,700; a third of the labels is drawn anew. Tables need no scaling.
"""

from sklearn.datasets import load_wine

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric
from noisyflywheel.plot import CleanProbaDisplay

X, y = load_wine(return_X_y=True, as_frame=True)
given = symmetric(y, 0.35, random_state=0)
clf = FlywheelClassifier(random_state=0).fit(X, given)

# %%
# `clean_proba_` tells right labels from wrong ones.
CleanProbaDisplay.from_estimator(clf, y_true=y)

# %%
# What was decided from the data, and why.
for made in clf.decisions_.itertuples():
    print(f"{made.decision}: {made.chosen} ({made.reason})")
