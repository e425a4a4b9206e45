"""Searches on engines that exist: dask, ray and optuna, each embedded in this process or on this machine."""

import pytest
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from noisyflywheel import FlywheelClassifier
from noisyflywheel.noise import symmetric

X, TRUE = load_wine(return_X_y=True)
Y = symmetric(TRUE, 0.2, random_state=0)


def classifier(**params):
    return FlywheelClassifier(**({"n_warmup_epochs": 2, "n_cycles": 2, "n_folds": 1, "random_state": 0} | params))


def search():
    return GridSearchCV(classifier(), {"cr_weight": [0.5, 3.0]}, cv=2)


@pytest.fixture(scope="module")
def alone():
    return search().fit(X, Y)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_grid_search_on_a_local_dask_cluster(alone):
    distributed = pytest.importorskip("distributed")
    import joblib

    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.Client(**options), joblib.parallel_backend("dask"):
        found = search().fit(X, Y)
    assert (found.cv_results_["mean_test_score"] == alone.cv_results_["mean_test_score"]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_grid_search_on_ray(alone):
    ray = pytest.importorskip("ray")
    import joblib
    from ray.util.joblib import register_ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        register_ray()
        with joblib.parallel_backend("ray"):
            found = search().fit(X, Y)
    finally:
        ray.shutdown()
    assert (found.cv_results_["mean_test_score"] == alone.cv_results_["mean_test_score"]).all()


def test_optuna_prunes_by_on_cycle():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seen = []

    def objective(trial):
        def report(flywheel, row):
            seen.append((trial.number, int(row["cycle"])))
            trial.report(row["agreement"], int(row["cycle"]))
            if trial.should_prune():
                raise optuna.TrialPruned

        weight = trial.suggest_categorical("cr_weight", [0.5, 3.0])
        clf = classifier(cr_weight=weight, n_cycles=3, on_cycle=report).fit(X, Y)
        return clf.history_["agreement"].iloc[-1]

    pruner = optuna.pruners.ThresholdPruner(lower=2.0, n_warmup_steps=1)  # no agreement is above 1: all are pruned
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "PRUNED"]
    assert seen == [(0, 1), (1, 1)]
