import numpy as np
import pandas as pd
import pytest
from four_rows import CLASSES, CLEAN, GIVEN, QUALITY, F, Q

from noisyflywheel.estimator.fitted.class_tables import class_summary, overlapping_classes, top_confusion
from noisyflywheel.estimator.fitted.issues import label_issues_frame

T = np.array([[0.8, 0.2, 0.0], [0.5, 0.4, 0.1], [0.0, 0.0, 1.0]])


@pytest.fixture
def issues():
    return label_issues_frame(GIVEN, CLASSES, QUALITY, CLEAN, F, Q, index=[10, 10, "x", 3])


def test_class_summary_by_hand(issues):
    table = class_summary(issues, CLASSES, T).set_index("class_label")
    assert list(table.index) == ["cat", "dog", "owl"]  # noise rates .5, 0, 0
    assert list(table.n_given) == [2, 1, 1]
    assert list(table.n_suspected) == [1, 0, 0]
    np.testing.assert_allclose(table.noise_rate, [0.5, 0, 0])
    np.testing.assert_allclose(table.inverse_noise_rate, [0.2, 0.6, 0.0])
    np.testing.assert_allclose(table.label_quality, [0.5, 0.3, 0.95])
    assert list(table.top_confusion[:2]) == ["dog", "cat"]
    assert pd.isna(table.top_confusion["owl"])
    np.testing.assert_allclose(table.top_confusion_rate, [0.2, 0.5, 0.0])


def test_class_summary_with_probabilities_and_an_empty_class(issues):
    table = class_summary(issues.iloc[:3], CLASSES, T, CLEAN[:3]).set_index("class_label")
    np.testing.assert_allclose(table.noise_rate["cat"], (0.1 + 0.8) / 2)
    np.testing.assert_allclose(table.noise_rate["dog"], 0.4)
    assert table.n_given["owl"] == 0
    assert np.isnan(table.noise_rate["owl"])


@pytest.mark.parametrize("index", [range(4), list("pqrs"), list("sprq")])
def test_class_summary_of_sorted_issues_takes_a_series_by_its_index(issues, index):
    named, proba = issues.set_axis(index), pd.Series(CLEAN, index=index)
    table = class_summary(issues, CLASSES, T, CLEAN)  # a name is there twice: by position
    worst = named.sort_values("label_quality")
    for lines, beside in ((named, proba), (worst, proba), (worst, proba[::-1]), (named, proba[::-1])):
        pd.testing.assert_frame_equal(class_summary(lines, CLASSES, T, beside), table)
    three = class_summary(worst[:3], CLASSES, T, proba[worst.index[:3]])
    pd.testing.assert_frame_equal(class_summary(worst[:3], CLASSES, T, proba), three)


def test_class_summary_refuses_probabilities_that_it_cannot_pair(issues):
    issues = issues.reset_index(drop=True)
    worst = issues.sort_values("label_quality")
    with pytest.raises(ValueError, match=r"issues are sorted by label_quality, .*pass it as a Series with the index"):
        class_summary(worst, CLASSES, T, CLEAN)
    shuffled = issues.set_axis([7, 2, 9, 4])  # as rows of a split are
    pd.testing.assert_frame_equal(class_summary(shuffled, CLASSES, T, CLEAN), class_summary(issues, CLASSES, T, CLEAN))
    with pytest.raises(ValueError, match=r"clean_proba has shape \(3,\), issues 4 rows"):
        class_summary(issues, CLASSES, T, CLEAN[:3])
    for index in (list("pqrs"), [0, 1, 2, 2]):
        with pytest.raises(ValueError, match="clean_proba has another index than issues"):
            class_summary(issues, CLASSES, T, pd.Series(CLEAN, index=index))
    assert len(class_summary(worst.assign(row=[1, 2, 3, 4]), CLASSES, T, CLEAN)) == 3


def test_top_confusion_of_one_class():
    label, rate = top_confusion(["a"], [[1.0]])
    assert label[0] is None
    assert rate[0] == 0


def test_overlapping_classes_by_hand(issues):
    # shares of the refurbished labels: cat 1/2, dog 1/4, owl 1/4
    pairs = overlapping_classes(issues, CLASSES, T)
    assert list(zip(pairs.class_a, pairs.class_b, strict=True)) == [
        ("cat", "dog"),
        ("dog", "owl"),
        ("cat", "owl"),
    ]
    np.testing.assert_allclose(pairs.joint_probability, [0.5 * 0.2 + 0.25 * 0.5, 0.25 * 0.1, 0.0])
    assert list(pairs.n_expected) == [1, 0, 0]


@pytest.mark.parametrize("column", ["given_label", "refurbished_label"])
def test_labels_none_of_which_is_among_the_classes_are_refused(issues, column):
    summarise = class_summary if column == "given_label" else overlapping_classes
    for other, classes in ((issues, ["x", "y", "z"]), (issues.assign(**{column: range(len(issues))}), CLASSES)):
        with pytest.raises(ValueError, match=rf"no {column} is among the classes \['[cx]"):
            summarise(other, classes, T)
    assert len(summarise(issues.replace("owl", "gone"), CLASSES, T)) == 3
