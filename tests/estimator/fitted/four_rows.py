"""Four rows, their labels, and what is said of them."""

import numpy as np

CLASSES = np.array(["cat", "dog", "owl"])
F = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.0, 0.1, 0.9]])
Q = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.4, 0.1], [0.0, 0.0, 1.0]])
GIVEN = np.array(["cat", "cat", "dog", "owl"])
QUALITY = np.array([0.9, 0.1, 0.3, 0.95])
CLEAN = np.array([0.9, 0.2, 0.6, 0.9])  # sum(1 - p) = 1.4 -> 1 issue
