"""
What happens in the cycles
==========================

`history_` has one row per cycle: the estimated share of clean labels (gamma) and the agreement of both nets with the
given labels. Where the labels are known to be 70 % clean, gamma should end near 0.7.
"""

from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric
from noisyflywheel.plot import HistoryDisplay

X, y = load_digits(return_X_y=True)
X, y = X[:600], y[:600]
given, info = symmetric(y, 0.3, exclude_true=True, random_state=0, return_info=True)
clf = FlywheelClassifier(n_cycles=12, random_state=0).fit(X, given)
print(f"clean labels: {1 - info.flipped.mean():.2f} in truth, {clf.clean_rate_:.2f} as estimated")
HistoryDisplay.from_estimator(clf)
