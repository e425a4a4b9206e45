"""NaN in arrays and DataFrames of numbers: missing cells."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from skorch import NeuralNetClassifier
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import TableEncoder, cross_val_audit, write_report
from noisyflywheel.backbones import MLP
from noisyflywheel.data import lazy
from noisyflywheel.loop.watch.checkpoints import FitCheckpoints
from noisyflywheel.noise import symmetric

pytestmark = pytest.mark.usefixtures("quick_folds_of_module")

QUICK = {"n_warmup_epochs": 2, "n_cycles": 2, "n_folds": 1, "random_state": 0, "guard": False}


def made(n=150, d=6, share=0.1, seed=0):
    """Classes that the first two columns tell apart, cells missing at random, 10 % wrong labels: X, given, y."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    X = rng.normal(size=(n, d))
    X[:, :2] += 3 * np.stack([np.cos(2.1 * y), np.sin(2.1 * y)], 1)
    X[rng.random((n, d)) < share] = np.nan
    return X, symmetric(y, 0.1, random_state=0), y


X, GIVEN, _ = made()
WHOLE = made(share=0)[0]
NEW = made(seed=1, share=0.3)[0]


def user_net():
    return NeuralNetClassifier(MLP, criterion=torch.nn.CrossEntropyLoss, lr=0.01, train_split=None, batch_size=32)


@pytest.fixture(scope="module")
def fitted():
    return FlywheelClassifier(**QUICK).fit(X, GIVEN)


@pytest.fixture(scope="module")
def whole():
    return FlywheelClassifier(**QUICK).fit(WHOLE, GIVEN)


def assert_same(a, b, new=NEW, new_b=None):
    np.testing.assert_array_equal(a.clean_proba_, b.clean_proba_)
    np.testing.assert_array_equal(a.predict_proba(new), b.predict_proba(new if new_b is None else new_b))


@pytest.mark.parametrize("params", [{"n_folds": "auto"}, {"main_net": user_net()}, {}], ids=["folds", "net", "1 fold"])
def test_equal_to_a_data_frame_and_to_a_table_encoder_in_front(params):
    array, frame = (FlywheelClassifier(**QUICK | params).fit(rows, GIVEN) for rows in (X, pd.DataFrame(X)))
    assert_same(array, frame, NEW, pd.DataFrame(NEW))
    assert array.n_features_in_ == frame.n_features_in_ == 6
    encoder = TableEncoder().fit(X)
    assert_same(array, clone(array).fit(encoder.transform(X), GIVEN), NEW, encoder.transform(NEW))


@pytest.mark.parametrize(
    "make", [np.ndarray.tolist, torch.from_numpy, np.asfortranarray], ids=["list", "tensor", "order"]
)
def test_other_arrays_in_memory(make, fitted):
    assert_same(FlywheelClassifier(**QUICK).fit(make(X), GIVEN), fitted, make(NEW), NEW)


def test_a_user_net_sees_numbers_and_flags():
    clf = FlywheelClassifier(user_net(), **QUICK).fit(X, GIVEN)
    assert clf.main_net_.get_params(deep=False)["module__n_features"] == 12


def test_an_array_with_a_missing_cell_is_a_table_however_wide_it_is():
    x = np.random.default_rng(0).normal(size=(100, 64))
    y = np.arange(100) % 2
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0)
    assert clf.fit(x, y).decisions_.set_index("decision")["chosen"]["n_folds"] == "1"
    x[3, 5] = np.nan
    assert clf.fit(x, y).decisions_.set_index("decision")["chosen"]["n_folds"] == "5"


def test_masked_cells_are_missing_whatever_lies_below_the_mask(fitted):
    rows, new = (np.ma.array(np.nan_to_num(gaps, nan=-999.0), mask=np.isnan(gaps)) for gaps in (X, NEW))
    assert_same(FlywheelClassifier(**QUICK).fit(rows, GIVEN), fitted, new, NEW)
    np.testing.assert_array_equal(TableEncoder().fit_transform(rows), TableEncoder().fit_transform(X))


@pytest.mark.parametrize("make", [pd.DataFrame, np.asarray], ids=["frame", "array"])
def test_the_na_of_pandas_among_objects_is_a_missing_cell(whole, make):
    objects = np.where(np.isnan(NEW), pd.NA, NEW.astype(object))
    np.testing.assert_array_equal(whole.predict_proba(make(objects)), whole.predict_proba(NEW))


def test_gaps_in_columns_that_had_none_get_the_median():
    x = X.copy()
    x[:, 3:] = WHOLE[:, 3:]
    clf = FlywheelClassifier(**QUICK).fit(x, GIVEN)
    assert clf.input_features_.query("is_flag")["column"].tolist() == [0, 1, 2]
    gaps, filled = x.copy(), x.copy()
    gaps[5:9, 4], filled[5:9, 4] = np.nan, np.median(x[:, 4])
    np.testing.assert_array_equal(clf.predict_proba(gaps), clf.predict_proba(filled))
    assert (clf.predict_proba(gaps) != clf.predict_proba(x)).any(axis=1).nonzero()[0].tolist() == [5, 6, 7, 8]


def test_after_a_fit_without_gaps_they_get_the_median(whole):
    assert whole.input_features_ is None
    np.testing.assert_array_equal(whole.input_medians_, np.median(WHOLE, axis=0))
    filled = np.where(np.isnan(NEW), np.median(WHOLE, axis=0), NEW)
    np.testing.assert_array_equal(whole.predict_proba(NEW), whole.predict_proba(filled))
    np.testing.assert_array_equal(whole.predict_proba(NEW.tolist()), whole.predict_proba(filled))


def test_medians_stand_beside_centred_columns():
    seconds = 1.7e9 + np.arange(120.0)[:, None] * [1, 2]
    clf = FlywheelClassifier(**QUICK).fit(seconds, np.arange(120) > 60)
    assert clf.input_offset_ is not None
    gap = seconds.copy()
    gap[0, 1] = np.nan
    expected = seconds.copy()
    expected[0, 1] = np.median(seconds[:, 1])
    np.testing.assert_array_equal(clf.predict_proba(gap), clf.predict_proba(expected))


def test_a_second_fit_forgets_the_first():
    clf = FlywheelClassifier(**QUICK).fit(X, GIVEN)
    again = clone(clf).fit(WHOLE, GIVEN)
    assert_same(clf.fit(WHOLE, GIVEN), again)
    assert clf.input_features_ is None and clf.fit(X, GIVEN).input_medians_ is None
    clf.fit(TensorDataset(torch.from_numpy(WHOLE).float()), GIVEN)
    assert clf.input_features_ is None and clf.input_medians_ is None
    with pytest.raises(ValueError, match="Input X contains NaN. .*whose fit learnt no medians"):
        clf.predict(NEW)


def test_a_whole_row_and_a_whole_column_may_be_missing():
    x = X.copy()
    x[:, 4] = np.nan
    x[7] = np.nan
    clf = FlywheelClassifier(**QUICK).fit(x, GIVEN)
    assert np.isfinite(clf.clean_proba_).all() and np.isfinite(clf.predict_proba(np.full((1, 6), np.nan))).all()
    np.testing.assert_array_equal(clf.predict_proba(x), clf.predict_proba(np.where(np.arange(6) == 4, 1.0, x)))


@pytest.mark.parametrize("name", ["fitted", "whole"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_infinite_values_are_refused(name, value, request):
    new = NEW.copy()
    new[3, 3] = value
    with pytest.raises(ValueError, match="Input X contains infinity or a value too large for dtype"):
        request.getfixturevalue(name).predict(new)


def test_the_tag_is_set():
    assert get_tags(FlywheelClassifier()).input_tags.allow_nan


def test_missing_cells_that_tell_the_class_are_used():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    x = rng.normal(size=(400, 3))
    x[(y == 1) & (rng.random(400) < 0.9), 1] = np.nan
    given = symmetric(y, 0.2, random_state=0)
    clf = FlywheelClassifier(random_state=0, n_warmup_epochs=10, n_cycles=2).fit(x[:250], given[:250])
    assert clf.score(x[250:], y[250:]) > 0.9
    filled = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)
    assert clone(clf).fit(filled[:250], given[:250]).score(filled[250:], y[250:]) < clf.score(x[250:], y[250:])


def test_better_than_dropping_rows():
    x, _, y = made(600, share=0.2)
    given = symmetric(y, 0.3, random_state=0)
    kept = ~np.isnan(x[:400]).any(axis=1)
    assert kept.sum() < 150
    clf = FlywheelClassifier(random_state=0, n_warmup_epochs=10, n_cycles=3)
    ours = clone(clf).fit(x[:400], given[:400]).score(x[400:], y[400:])
    dropped = clone(clf).fit(x[:400][kept], given[:400][kept]).score(x[400:], y[400:])
    boosted = HistGradientBoostingClassifier(random_state=0).fit(x[:400], given[:400]).score(x[400:], y[400:])
    assert ours > max(dropped, boosted) + 0.02


@pytest.mark.parametrize("name", ["fitted", "whole"])
def test_pickled_saved_and_cloned(name, request, tmp_path):
    clf = request.getfixturevalue(name)
    assert_same(pickle.loads(pickle.dumps(clf)), clf)
    clf.save(tmp_path / "model")
    loaded = FlywheelClassifier.load(tmp_path / "model")
    assert_same(loaded, clf)
    assert (loaded.input_features_ is None) == (name == "whole") == (loaded.input_medians_ is not None)
    assert not hasattr(clone(clf), "input_features_")


def test_a_user_net_is_loaded(tmp_path):
    clf = FlywheelClassifier(user_net(), **QUICK).fit(X, GIVEN)
    clf.save(tmp_path / "model")
    assert_same(FlywheelClassifier.load(tmp_path / "model", main_net=user_net()), clf)


def test_a_stopped_fit_goes_on(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(FitCheckpoints, "due", lambda self, seconds=0.0: self.folder is not None)
    done = []

    def stop(flywheel, row):
        done.append(row["cycle"])
        if len(done) == 2:
            raise RuntimeError("stopped")

    clf = FlywheelClassifier(**QUICK, checkpoint_dir=tmp_path, on_cycle=stop)
    with pytest.raises(RuntimeError, match="stopped"):
        clf.fit(X, GIVEN)
    assert_same(clf.fit(X, GIVEN), fitted)
    assert len(done) == 3  # the second cycle again, not the first


def test_warm_start_knows_the_rows_again():
    clf = FlywheelClassifier(**QUICK, warm_start=True).fit(X, GIVEN)
    assert clf.fit(X, GIVEN).n_iter_ == 4


def test_audits(fitted, tmp_path):
    one = WHOLE.copy()
    one[0, 0] = np.nan  # one fold trains without a gap and meets it
    for x in (X, one):
        audit = cross_val_audit(FlywheelClassifier(**QUICK), x, GIVEN, cv=2)
        assert np.isfinite(audit.clean_proba_).all() and audit.refurbished_proba_.shape == (150, 3)
    issues = fitted.get_label_issues()
    assert len(issues) == 150 and issues["is_label_issue"].any()
    write_report(tmp_path / "report.html", fitted, X)
    assert ">–<" in (tmp_path / "report.html").read_text("utf-8")


def test_pipelines():
    pipe = make_pipeline(StandardScaler(), FlywheelClassifier(**QUICK))
    scores = cross_val_score(pipe, X, GIVEN, cv=2)
    assert np.isfinite(scores).all() and scores.mean() > 0.4


@pytest.mark.parametrize("rows", [X, WHOLE], ids=["gaps", "whole"])
def test_data_frames_of_numbers(rows, tmp_path):
    frame, new = (pd.DataFrame(x, columns=list("abcdef"), index=np.arange(len(x)) + 7) for x in (rows, NEW))
    clf = FlywheelClassifier(**QUICK).fit(frame, GIVEN)
    assert clf.feature_names_in_.tolist() == list("abcdef") and clf.encoder_ is None
    assert_same(clf, FlywheelClassifier(**QUICK).fit(rows, GIVEN), new, NEW)
    assert clf.get_label_issues().index.equals(frame.index)
    clf.save(tmp_path / "model")
    assert_same(FlywheelClassifier.load(tmp_path / "model"), clf, new)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(clf.predict_proba(NEW), clf.predict_proba(new))
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(new[list("fedcba")])


def test_names_tell_identifiers():
    frame = pd.DataFrame(X[:, :2], columns=["a", "b"]).assign(patient_id=np.random.default_rng(0).permutation(150))
    clf = FlywheelClassifier(**QUICK).fit(frame, GIVEN)
    assert clf.input_features_["column"].tolist() == [0, 1, 0, 1]
    assert clf.predict_proba(frame.assign(patient_id=0)).shape == (150, 3)


def test_rows_on_disk_and_datasets_have_no_missing_cells(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "COPIED_BYTES", 0)
    maps = {}
    for name, array in {"gaps32": X.astype(np.float32), "gaps64": X, "whole32": WHOLE.astype(np.float32)}.items():
        maps[name] = np.memmap(tmp_path / name, array.dtype, "w+", shape=array.shape)
        maps[name][:] = array
    for name in ("gaps32", "gaps64"):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            FlywheelClassifier(**QUICK).fit(maps[name], GIVEN)
    clf = FlywheelClassifier(**QUICK).fit(maps["whole32"], GIVEN)
    assert clf.input_medians_ is None
    for rows in (NEW, maps["gaps32"]):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            clf.predict(rows)
    for rows in (*maps.values(), TensorDataset(torch.from_numpy(WHOLE).float())):
        with pytest.raises(TypeError, match="the fit was on rows with missing cells"):
            fitted.predict(rows)
