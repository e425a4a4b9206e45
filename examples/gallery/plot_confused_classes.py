"""
Which classes get confused
==========================

Some ones are called sevens and some threes are called eights. T, whose rows are true classes and whose columns are
given classes, is estimated without any true label and drawn beside the matrix that was counted with them.
"""

from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import asymmetric
from noisyflywheel.plot import TransitionMatrixDisplay

X, y = load_digits(return_X_y=True)
X, y = X[:600], y[:600]
given = asymmetric(y, 0.3, mapping={1: 7, 3: 8}, random_state=0)
clf = FlywheelClassifier(n_cycles=12, random_state=0).fit(X, given)
TransitionMatrixDisplay.from_estimator(clf, y_true=y)

# %%
# The same as a table, the worst class first.
print(clf.get_class_summary().head(4).round(2).to_string(index=False))
