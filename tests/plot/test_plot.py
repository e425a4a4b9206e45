import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit.scores.cross_val import CrossValAudit
from noisyflywheel.estimator.fitted.issues import label_issues_frame
from noisyflywheel.plot import CleanProbaDisplay, HistoryDisplay, LabelIssuesDisplay, TransitionMatrixDisplay
from noisyflywheel.plot.history import _apart

GIVEN = np.array(["cat", "dog", "dog", "cat"])
TRUE = np.array(["cat", "dog", "cat", "cat"])


@pytest.fixture
def audit():
    classes, clean = np.array(["cat", "dog"]), np.array([0.9, 0.8, 0.1, 0.95])
    Q = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.95, 0.05]])
    issues = label_issues_frame(GIVEN, classes, clean, clean, Q, Q)
    return CrossValAudit(classes, clean, Q, np.array([[0.7, 0.3], [0.0, 1.0]]), issues)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_transition_matrix_beside_the_truth(audit):
    display = TransitionMatrixDisplay.from_estimator(audit, y_true=TRUE)
    assert len(display.axes_) == 2
    assert texts(display.axes_[0]) == ["70", "30", "100"]
    assert texts(display.axes_[1]) == ["67", "33", "100"]  # 2 of 3 cats kept their label
    assert display.axes_[0].get_ylabel() == "true class"
    assert display.axes_[0].get_xlabel() == "given class"


def test_transition_matrix_on_own_axes(audit):
    _, ax = plt.subplots()
    display = TransitionMatrixDisplay.from_estimator(audit, ax=ax)
    assert display.axes_ == [ax]
    assert display.figure_ is ax.figure
    with pytest.raises(ValueError, match="needs 2 axes, got 1"):
        TransitionMatrixDisplay.from_estimator(audit, y_true=TRUE, ax=ax)


def test_many_classes_have_no_numbers():
    display = TransitionMatrixDisplay(np.eye(100), np.arange(100)).plot()
    assert not display.axes_[0].texts
    assert len(display.axes_[0].get_xticks()) <= 40
    display.figure_.canvas.draw()


def test_long_names_leave_room_for_the_cells():
    display = TransitionMatrixDisplay(np.eye(2), ["a name that goes on and on and on and on", "b"]).plot()
    display.figure_.canvas.draw()
    assert [t.get_text() for t in display.axes_[0].get_yticklabels()] == ["a name that goes on and on and …", "b"]
    assert min(display.axes_[0].get_position().bounds[2:]) > 0.4  # width and height as shares of the figure


def test_clean_proba(audit):
    display = CleanProbaDisplay.from_estimator(audit, y_true=TRUE, bins=10)
    assert display.ax_.get_title(loc="left") == "1 of 4 labels are suspect"
    assert texts(display.ax_) == ["label wrong: 1", "label right: 3", "γ = 0.69"]
    assert sum(bar.get_height() for bar in display.ax_.patches) == 4
    assert texts(CleanProbaDisplay.from_estimator(audit).ax_) == ["γ = 0.69"]
    with pytest.raises(ValueError, match="clean_proba is nan in row 1"):
        CleanProbaDisplay([0.9, np.nan], 0.9).plot()


@pytest.mark.parametrize(
    ("bins", "edges"), [(2, [0, 0.5, 1]), ("sturges", [0, 0.25, 0.5, 0.75, 1]), ([0, 0.85, 1], [0, 0.85, 1])]
)
@pytest.mark.parametrize("y_true", [None, TRUE])
def test_bins_are_as_in_numpy(audit, bins, edges, y_true):
    bars = CleanProbaDisplay.from_estimator(audit, y_true=y_true, bins=bins).ax_.patches
    middles = [bar.get_x() + bar.get_width() / 2 for bar in bars[: len(edges) - 1]]
    np.testing.assert_allclose(middles, (np.array(edges[1:]) + edges[:-1]) / 2)
    assert sum(bar.get_height() for bar in bars) == 4


def test_a_truth_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"is_right has shape \(1,\), clean_proba \(2,\)"):
        CleanProbaDisplay([0.1, 0.9], 0.5, is_right=[True]).plot()


def test_fewer_pictures_than_none_are_refused(audit):
    X = np.zeros((4, 6, 6), np.uint8)
    with pytest.raises(ValueError, match="n_worst must be at least 0, got -1"):
        LabelIssuesDisplay.from_estimator(audit, X, n_worst=-1)
    assert len(LabelIssuesDisplay.from_estimator(audit, X, n_worst=9).pictures) == 4


@pytest.mark.parametrize(
    "form",
    [
        lambda y: np.array(y)[:, None],
        lambda y: pd.DataFrame({"truth": y}),
        lambda y: pd.Series(y, dtype="category").to_frame(),
    ],
    ids=["(n, 1)", "DataFrame", "categories"],
)
def test_the_truth_may_be_one_column(audit, form):
    display, expected = (CleanProbaDisplay.from_estimator(audit, y_true=y) for y in (form(TRUE), TRUE))
    np.testing.assert_array_equal(display.is_right, expected.is_right)
    TransitionMatrixDisplay.from_estimator(audit, y_true=form(TRUE))
    with pytest.raises(ValueError, match=r"one column of labels; got shape \(4, 2\)"):
        CleanProbaDisplay.from_estimator(audit, y_true=np.array([TRUE, TRUE]).T)


def test_other_rows_and_truths_are_refused(audit):
    with pytest.raises(ValueError, match="none of the classes"):
        CleanProbaDisplay.from_estimator(audit, y_true=[0, 1, 0, 0])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        CleanProbaDisplay.from_estimator(audit, y_true=TRUE[:3])
    for y_true in (TRUE[:3], [*TRUE, 0]):
        with pytest.raises(ValueError, match=r"y_true has shape .*, the labels have \(4,\)"):
            TransitionMatrixDisplay.from_estimator(audit, y_true=y_true)
    for missing in (None, pd.NA, np.nan):
        for display in (TransitionMatrixDisplay, CleanProbaDisplay):
            with pytest.raises(ValueError, match="y_true has a missing label in row 2"):
                display.from_estimator(audit, y_true=[*TRUE[:2], missing, TRUE[3]])
    with pytest.raises(ValueError, match="X has 3 rows, the audit has 4"):
        LabelIssuesDisplay.from_estimator(audit, np.zeros((3, 6, 6), np.uint8))


def test_history_draws_what_is_known():
    history = pd.DataFrame({"cycle": [1, 2, 3], "gamma": [0.4, 0.5, 0.6], "main_loss": [1.0, np.nan, 0.5]})
    display = HistoryDisplay(history, true_clean_rate=0.6).plot()
    assert [ax.get_title(loc="left") for ax in display.axes_] == ["Clean rate", "Loss of g"]
    assert sorted(texts(display.axes_[0])) == ["truth", "γ"]
    full = history.assign(auxiliary_loss=0.3, selection_auroc=0.9, refurbishment_accuracy=0.8, test_accuracy=0.7)
    full["agreement"] = 0.5
    display = HistoryDisplay.from_estimator(type("Fitted", (), {"history_": full}))
    assert [len(ax.lines) for ax in display.axes_] == [2, 1, 1, 1, 2]
    display.figure_.canvas.draw()
    with pytest.raises(ValueError, match="none of the columns"):
        HistoryDisplay(history[["cycle"]]).plot()


def test_one_cycle_is_a_dot():
    history = pd.DataFrame({"cycle": [1, 2], "gamma": [0.4, 0.5], "main_loss": [1.0, np.nan]})
    markers = [ax.lines[0].get_marker() for ax in HistoryDisplay(history).plot().axes_]
    assert markers == ["None", "o"]


@pytest.mark.parametrize("display", [TransitionMatrixDisplay, CleanProbaDisplay])
def test_true_labels_in_another_order_are_refused(audit, display):
    audit.issues.index = list("pqrs")
    true = pd.Series(TRUE, index=audit.issues.index)
    display.from_estimator(audit, y_true=true)
    with pytest.raises(ValueError, match=r"same index labels in another order.*y_true.loc\[X.index\]"):
        display.from_estimator(audit, y_true=true[::-1])
    display.from_estimator(audit, y_true=true.set_axis(range(4)))  # by position, as an array
    audit.issues.index = range(4)
    display.from_estimator(audit, y_true=true.set_axis([3, 1, 2, 0]))  # the audit was of an array


@pytest.mark.parametrize("index", [list("pqrs"), range(4), [7, 3, 9, 1]])
def test_pictures_in_another_order_are_refused(audit, index):
    audit.issues.index = pd.Index(index)
    X = pd.DataFrame(np.repeat(np.arange(4, dtype=np.uint8)[:, None], 16, 1), index=index)
    shown = LabelIssuesDisplay.from_estimator(audit, X, n_worst=1, image_shape=(4, 4))
    assert (shown.pictures[0] == 2).all()
    with pytest.raises(ValueError, match=r"X and estimator have the same index labels in another order"):
        LabelIssuesDisplay.from_estimator(audit, X[::-1], image_shape=(4, 4))
    LabelIssuesDisplay.from_estimator(audit, X[::-1].set_axis(range(20, 24)), image_shape=(4, 4))  # it says nothing
    with pytest.raises(ValueError, match=r"image_shape \(3, 4\) has 12 numbers, a row has 16"):
        LabelIssuesDisplay.from_estimator(audit, X, image_shape=(3, 4))


@pytest.mark.parametrize(
    ("display", "more"),
    [(TransitionMatrixDisplay, {}), (TransitionMatrixDisplay, {"y_true": TRUE}), (CleanProbaDisplay, {})]
    + [(HistoryDisplay, {}), (LabelIssuesDisplay, {"X": np.zeros((4, 6, 6), np.uint8)})],
)
def test_what_has_nothing_to_show_is_refused(display, more):
    for unfitted in (FlywheelClassifier(), LogisticRegression(), make_pipeline(FlywheelClassifier())):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            display.from_estimator(unfitted, **more)
    other = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(TypeError, match=rf"{display.__name__} shows \w+, which a LogisticRegression does not have"):
        display.from_estimator(other, **more)
    with pytest.raises(TypeError, match=r"which a Pipeline does not have: pass its last step, \[-1\]"):
        display.from_estimator(make_pipeline(other), **more)


def test_an_audit_by_cross_validation_has_no_history(audit):
    with pytest.raises(TypeError, match="HistoryDisplay shows history_, which a CrossValAudit does not have: pass"):
        HistoryDisplay.from_estimator(audit)


def test_names_of_curves_keep_apart():
    _, ax = plt.subplots()
    ax.set_ylim(0, 1)
    np.testing.assert_allclose(_apart(ax, [(0.5, "b", ""), (0.5, "a", "")]), [0.5, 0.585])
    np.testing.assert_allclose(_apart(ax, [(1.0, "b", ""), (1.0, "a", "")]), [0.915, 1.0])


def test_sheet_shows_the_worst_first(audit):
    X = np.zeros((4, 6, 6), np.uint8)
    display = LabelIssuesDisplay.from_estimator(audit, X, n_worst=3)
    assert len(display.axes_) == 3
    assert texts(display.axes_[0]) == ["dog", "→", "cat", "quality 0.10"]
    assert texts(display.axes_[1]) == ["dog", "quality 0.80"]
    display.figure_.canvas.draw()
    long = audit.issues.assign(given_label="automobile of old", refurbished_label="a very long label")
    display = LabelIssuesDisplay([X[0][..., None].repeat(3, -1)] * 4, long).plot(columns=2)
    assert texts(display.axes_[0])[0] == "automobile of o…"


def test_long_labels_that_begin_alike_are_told_apart(audit):
    issues = audit.issues.assign(given_label="Clothing/Women/Shoes", refurbished_label="Clothing/Women/Shirts")
    issues.loc[1, ["given_label", "refurbished_label"]] = ["Clothing/Women/Shoes", "Clothing/Women/Old/Women/Shoes"]
    display = LabelIssuesDisplay([np.zeros((6, 6, 3), np.uint8)] * 4, issues).plot()
    assert texts(display.axes_[0])[:2] == ["…ing/Women/Shoes", "→ …ng/Women/Shirts"]
    assert texts(display.axes_[1])[:2] == ["…ing/Women/Shoes", "→ …Old/Women/Shoes"]


def test_dollar_signs_in_labels(audit):
    labels = ["$25k_to_$50k", "$10%$"]
    display = TransitionMatrixDisplay(np.eye(2), labels).plot()
    assert [t.get_text() for t in display.axes_[0].get_xticklabels()] == [r"\$25k_to_\$50k", r"\$10%\$"]
    display.figure_.canvas.draw()
    issues = audit.issues.assign(given_label=labels[0], refurbished_label=labels[1])
    LabelIssuesDisplay([np.zeros((6, 6, 3), np.uint8)] * 4, issues).plot().figure_.canvas.draw()
