"""Doubts about a result: classes all of whose labels are suspected, and classes turned over."""

import numpy as np
import pytest

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.fitted.result_warnings import suspicious_classes, warn_of_result
from noisyflywheel.exceptions import FlywheelWarning

CLASSES = np.array(["cat", "dog", "owl"])
GIVEN = np.repeat([0, 1, 2], 20)
SOUND = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.0, 1.0]])


def test_a_sound_result_has_no_suspicious_classes():
    assert suspicious_classes(SOUND, np.full(60, 0.9), GIVEN, GIVEN, CLASSES) == []


def test_a_class_all_of_whose_labels_are_suspected_is_named():
    clean = np.where(GIVEN == 1, 0.3, 0.9)
    assert suspicious_classes(SOUND, clean, GIVEN, GIVEN, CLASSES) == ["all 20 labels of class dog are suspected"]
    clean[25] = 0.6  # one label is kept
    assert suspicious_classes(SOUND, clean, GIVEN, GIVEN, CLASSES) == []


def test_a_class_labelled_as_another_more_often_than_itself_is_named():
    turned = SOUND.copy()
    turned[0] = [0.3, 0.6, 0.1]
    (found,) = suspicious_classes(turned, np.full(60, 0.9), GIVEN, GIVEN, CLASSES)
    assert found == "class cat seems to be labelled dog more often than itself (60% against 30%)"


def test_classes_with_few_rows_say_nothing():
    turned = SOUND.copy()
    turned[0] = [0.3, 0.6, 0.1]
    given, clean = np.repeat([0, 1, 2], [5, 30, 30]), np.full(65, 0.9)
    clean[:5] = 0.1
    assert suspicious_classes(turned, clean, given, given, CLASSES) == []


def test_a_fit_warns_of_a_class_whose_labels_are_useless():
    """Two clusters; 40 of the 400 rows, drawn from both, carry a third label that says nothing about them."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    X = rng.normal(size=(400, 4)) * 0.5 + 3 * np.eye(4)[y]
    given = y.copy()
    given[rng.choice(400, 40, replace=False)] = 2
    clf = FlywheelClassifier(n_cycles=10, n_folds=1, random_state=0)
    with pytest.warns(FlywheelWarning, match="all 40 labels of class 2 are suspected.*look at transition_matrix_"):
        clf.fit(X, given)
    assert set(clf.refurbished_labels_) == {0, 1}


def test_small_sets_say_nothing():
    few = np.zeros(199, dtype=np.int64)
    warn_of_result(SOUND, np.zeros(199), few, few, CLASSES)
    with pytest.warns(FlywheelWarning, match="all labels of all classes|class"):
        warn_of_result(SOUND, np.zeros(200), np.zeros(200, dtype=np.int64), np.zeros(200, dtype=np.int64), CLASSES)


def test_a_warning_names_five_of_many_classes():
    given, classes = np.repeat(np.arange(20), 10), np.array([f"class{k:02}" for k in range(20)])
    turned = np.roll(np.eye(20), 1, axis=1)
    with pytest.warns(FlywheelWarning) as said:
        warn_of_result(turned, np.full(200, 0.9), given, given, classes)
    text = str(said[0].message)
    assert "class class04 seems" in text and "class class05 seems" not in text
    assert "; and so on, 15 more. Two classes may have changed places" in text


def test_where_every_label_is_suspected_one_sentence_says_so():
    (found,) = suspicious_classes(SOUND, np.full(60, 0.2), GIVEN, GIVEN, CLASSES)
    assert found == "all labels of all classes are suspected: the nets have hardly learnt anything"
