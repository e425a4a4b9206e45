import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from noisyflywheel.audit.report.evidence import find_evidence, rows_beside, said_by_votes
from noisyflywheel.audit.report.neighbours import nearest_sure, suggestions, sure_rows
from noisyflywheel.audit.report.reasons import feature_reasons
from noisyflywheel.data.encoder.columns import plan_columns
from noisyflywheel.data.encoder.encode import TableEncoder
from noisyflywheel.estimator.fitted.issues import label_issues_frame


def frame(given, seen, better, quality, suspect, sure=0.9):
    n = len(given)
    return pd.DataFrame(
        {
            "is_label_issue": suspect,
            "label_quality": quality,
            "given_label": given,
            "predicted_label": seen,
            "predicted_confidence": np.full(n, sure),
            "refurbished_label": better,
            "refurbished_confidence": np.linspace(0, 1, n),
        }
    )


@pytest.fixture
def shop():
    """Twelve shirts at about 10 in red, twelve coats at about 100 in blue; the first shirt is a coat by its label."""
    kind = np.repeat(["shirt", "coat"], 12)
    X = pd.DataFrame(
        {
            "price": np.concatenate([10 + np.arange(12) / 4, 100 + np.arange(12) / 4]),
            "color": np.repeat(["red", "blue"], 12),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.tile(np.arange(12), 2), unit="D"),
        }
    )
    given = np.where(np.arange(24) == 0, "coat", kind)
    suspect = np.arange(24) == 0
    return X, frame(given, kind, kind, np.where(suspect, 0.1, 0.9), suspect)


def test_the_confidence_is_that_of_the_suggestion():
    given, seen, better = ["a", "a", "a"], ["b", "b", "a"], ["c", "a", "a"]
    issues = frame(given, seen, better, [0.1] * 3, [True] * 3).assign(refurbished_confidence=[0.7, 0.55, 0.8])
    label, sure = suggestions(issues)
    assert label.tolist() == ["c", "b", None]
    np.testing.assert_allclose(sure, [0.7, 0.45, np.nan])  # b is not likelier than what the given label a leaves


def test_sure_rows_are_the_agreed_upper_half_of_each_class():
    given = np.array(["a"] * 6 + ["b"] * 3)
    seen = given.copy()
    seen[0] = "b"
    suspect = np.arange(9) == 1
    quality = np.array([0.99, 0.98, 0.5, 0.6, 0.7, 0.8, 0.1, 0.2, 0.3])
    issues = frame(given, seen, given, quality, suspect)
    assert sure_rows(issues).tolist() == [4, 5, 7, 8]
    assert sure_rows(issues, most=1).tolist() == [5, 8]


def test_nearest_by_hand():
    x = np.array([[0.0], [0.1], [0.2], [0.3], [5.0], [6.0], [7.0], [8.0], [4.4]])
    given = np.array(["a"] * 4 + ["b"] * 4 + ["a"])
    better = np.append(given[:8], "b")
    issues = frame(given, better, better, np.append(np.full(8, 0.9), 0.1), np.arange(9) == 8)
    found = nearest_sure(issues, x, [8])
    assert found.rows == {8: [4, 5]}  # of four rows of b the upper half is sure
    assert found.votes == {8: {"a": 2, "b": 2}}


def test_nearest_of_pictures_and_of_nothing():
    rng = np.random.default_rng(0)
    given = np.repeat(["a", "b"], 10)
    pictures = np.where(given == "a", 20, 220)[:, None, None] + rng.integers(0, 9, (20, 70, 40))
    first = np.arange(20) == 0
    seen = np.where(first, "b", given)
    issues = frame(given, seen, seen, np.full(20, 0.5), first)
    found = nearest_sure(issues, pictures.astype(np.uint8), [0])
    assert found.votes[0] == {"a": 5, "b": 5}
    assert set(found.rows[0]) <= set(range(10, 15))
    for nothing in (None, ["a.png"] * 20, np.array([["x"]] * 20)):
        assert nearest_sure(issues, nothing, [0]).rows == {}


def test_reasons_name_the_columns_that_speak_for_it(shop):
    X, issues = shop
    assert feature_reasons(X, issues, [0]) == {
        0: [
            "price is 10: shirt has mostly about 10.9, coat about 101.",
            "color is red: so are 100 % of shirt and 0 % of coat.",
        ]
    }


def test_no_reasons_without_a_suggestion_or_names(shop):
    X, issues = shop
    assert feature_reasons(X, issues, [3]) == {}
    assert feature_reasons(np.zeros((24, 101)), issues, [0]) == {}
    assert feature_reasons(["a.png"] * 24, issues, [0]) == {}
    assert list(feature_reasons(X[["price"]].to_numpy(), issues, [0])) == [0]


def test_missing_cells_and_other_notations(shop):
    X, issues = shop
    X["price"] = [f"{p:.2f} €".replace(".", ",") for p in X["price"]]
    X["color"] = X["color"].mask(X["color"] == "red", None)
    X.loc[5, "price"] = None
    (reasons,) = feature_reasons(X, issues, [0], plan_columns(X)).values()
    assert reasons[0] == "price is 10: shirt has mostly about 10.8, coat about 101."
    assert reasons[1] == "color is missing: so are 100 % of shirt and 0 % of coat."


def test_dates_are_reasons_too(shop):
    X, issues = shop
    X["seen"] = pd.to_datetime(np.where(X["price"] < 50, "2024-03-01", "2024-09-01")) + pd.to_timedelta(
        np.tile(np.arange(12), 2), unit="D"
    )
    (reasons,) = feature_reasons(X[["seen"]], issues, [0]).values()
    assert reasons == ["seen is 2024-03-01: shirt has mostly about 2024-03-04, coat about 2024-09-03."]


def test_dates_of_any_year(shop):
    X, issues = shop
    open_end = X[["price"]].assign(until=np.where(X["price"] < 50, "1969-12-31", "9999-12-31").astype("M8[s]"))
    (reasons,) = feature_reasons(open_end[["until"]], issues, [0]).values()
    assert reasons == ["until is 1969-12-31: shirt has mostly about 1969-12-31, coat about 9999-12-31."]


def test_columns_called_by_numbers(shop):
    X, issues = shop
    numbered = X.set_axis([0, 1, 2], axis=1)
    expected = [
        "0 is 10: shirt has mostly about 10.9, coat about 101.",
        "1 is red: so are 100 % of shirt and 0 % of coat.",
    ]
    for plan in (None, plan_columns(numbered), plan_columns(numbered.rename(columns=str))):
        assert feature_reasons(numbered, issues, [0], plan) == {0: expected}


def test_evidence_puts_it_together(shop):
    X, issues = shop
    issues["row"] = np.arange(24) + 100
    evidence = find_evidence(None, issues, [0], X, np.arange(24.0)[:, None], pictures=False)
    assert evidence[0].near == (101, 102, 103)
    assert rows_beside(evidence) == [1, 2, 3]
    assert len(evidence[0].why) == 3


def test_votes_as_a_sentence():
    assert said_by_votes({}) == []
    assert said_by_votes({"x": 10}) == ["All 10 most similar sure rows are “x”."]
    votes = {"x": 6, 3.0: 2, "z": 1, "w": 1}
    assert said_by_votes(votes) == ["Of the 10 most similar sure rows 6 are “x”, 2 “3”, 1 “z”."]


def test_many_suspects_take_seconds():
    rng, n = np.random.default_rng(0), 20_000
    Q = rng.dirichlet(np.full(10, 0.1), n)
    given = np.where(rng.random(n) < 0.5, Q.argmax(1), rng.integers(0, 10, n))
    issues = label_issues_frame(given, np.arange(10), rng.random(n), np.full(n, 0.5), Q, Q)
    rows = np.flatnonzero(issues.is_label_issue)[:5000].tolist()
    X = pd.DataFrame(rng.normal(size=(n, 20)), columns=[f"c{i}" for i in range(20)])
    start = time.perf_counter()
    find_evidence(None, issues, rows, X, X.to_numpy(), pictures=False)
    assert time.perf_counter() - start < 20


def test_fewer_columns_may_be_shown_than_were_learnt_from(shop):
    X, issues = shop
    audit = SimpleNamespace(model=make_pipeline(TableEncoder().fit(X), LogisticRegression()))
    whole = find_evidence(audit, issues, [0], X, None, False)[0]
    part = find_evidence(audit, issues, [0], X[["price"]], None, False)[0]
    assert len(whole.why) == 3
    assert [why for why in part.why if "price" in why] == [why for why in whole.why if "price" in why]
    assert part.near
