"""Inside scikit-learn: pipelines, cross-validation, searches, meta-estimators, copies and callbacks."""

import copy
import pickle

import cloudpickle
import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.estimator.callbacks import HAS_CALLBACKS
from noisyflywheel.views import VectorViews

pytestmark = pytest.mark.usefixtures("quick_folds")


def quick(**params):
    return FlywheelClassifier(**{"n_warmup_epochs": 2, "n_cycles": 2, "random_state": 0} | params)


def test_pipeline_and_cross_validation(iris):
    X, y, _ = iris
    pipe = make_pipeline(StandardScaler(), quick())
    assert cross_val_score(pipe, X, y, cv=2).shape == (2,)
    assert cross_val_predict(pipe, X, y, cv=2, method="predict_proba").shape == (150, 3)


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.processes)])
def test_grid_search_reaches_nets_losses_and_views(iris, n_jobs):
    X, y, _ = iris
    net = NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, lr=0.05, train_split=None)
    clf = quick(main_net=net, aux_net=net, views=VectorViews(), cr_ramp=1)
    grid = [{"aux_net__lr": [0.01, 0.05]}, {"cr_weight": [0.5, 3.0]}, {"views__noise": [0.1, "auto"]}]
    search = GridSearchCV(clf, grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 6
    assert search.best_estimator_.predict(X).shape == (150,)


@pytest.mark.parametrize("name", ["main_net__lr", "aux_net__module__hidden", "views__noise"])
def test_a_nested_name_without_its_object_is_named(iris, name):
    X, y, _ = iris
    with pytest.raises(ValueError, match=f"{name} cannot be set: {name.partition('__')[0]} is (None|'auto')"):
        GridSearchCV(quick(), {name: [0.1, 0.2]}, cv=2).fit(X, y)
    assert quick().set_params(views=VectorViews(), views__noise=0.5).views.noise == 0.5


def test_meta_estimators(iris):
    X, y, _ = iris
    log_proba = cross_val_predict(quick(), X, y, cv=2, method="predict_log_proba")
    assert_array_equal(log_proba, np.log(cross_val_predict(quick(), X, y, cv=2, method="predict_proba")))
    assert CalibratedClassifierCV(quick(), cv=2).fit(X, y).predict_proba(X).shape == (150, 3)
    vote = VotingClassifier([("flywheel", quick()), ("logistic", LogisticRegression())], voting="soft")
    assert vote.fit(X, y).predict(X).shape == (150,)


@pytest.mark.parametrize("net", [None, "user"])
def test_copies_predict_the_same(iris, tmp_path, net):
    X, y, _ = iris
    main = None if net is None else NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, train_split=None)
    clf = quick(main_net=main).fit(X, y)
    expected = clf.predict_proba(X)
    joblib.dump(clf, tmp_path / "clf.joblib")
    copies = [
        pickle.loads(pickle.dumps(clf)),
        cloudpickle.loads(cloudpickle.dumps(clf)),
        copy.deepcopy(clf),
        joblib.load(tmp_path / "clf.joblib"),
    ]
    for other in copies:
        assert_array_equal(other.predict_proba(X), expected)
        assert_array_equal(other.get_label_issues()["label_quality"], clf.label_quality_)


@pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
def test_scikit_learn_callbacks_see_every_cycle(iris, capsys):
    from sklearn.callback import ProgressBar

    X, y, _ = iris
    search = GridSearchCV(quick(), {"cr_weight": [0.5, 3.0]}, cv=2, error_score="raise")
    search.set_callbacks(ProgressBar()).fit(X, y)
    assert np.isfinite(search.best_score_)
    assert "FlywheelClassifier" in capsys.readouterr().out


class Ends:
    """A callback of scikit-learn that counts how often it was told to begin and to end."""

    began = ended = 0

    def setup(self, estimator, context):
        self.began += 1

    def teardown(self, estimator, context):
        self.ended += 1

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        pass


def fail(flywheel, row):
    raise ZeroDivisionError


@pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
@pytest.mark.parametrize("fitted_before", [False, True])
def test_scikit_learn_callbacks_hear_of_the_end_of_a_fit_that_fails(iris, fitted_before):
    X, y, _ = iris
    callback = Ends()
    clf = quick().set_callbacks(callback)
    clf = clf.fit(X, y) if fitted_before else clf
    before = dict(vars(clf.set_params(on_cycle=fail)))
    with pytest.raises(ZeroDivisionError):
        clf.fit(X, y)
    assert callback.began == callback.ended == 1 + fitted_before
    assert vars(clf).keys() == before.keys()


@pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
@pytest.mark.parametrize("weights", [None, "some"])
def test_scikit_learn_callbacks_score_the_fitted_classifier(iris, weights):
    from sklearn.callback import ScoringMonitor

    X, y, _ = iris
    weights = None if weights is None else np.linspace(0.5, 2, len(y))
    monitor = ScoringMonitor(scoring="accuracy")
    clf = quick().set_callbacks(monitor).fit(X, y, sample_weight=weights)
    assert [row["accuracy"] for row in monitor.get_logs().data] == [clf.score(X, y, sample_weight=weights)]
