"""The methods of `tables.py`, each a function of a table and a seed, and what is measured of a run."""

import time
import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd
import torch
from audit_data import calibration_error
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from table_data import encoder

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import cross_val_audit

LEAST_LIKELY = 1e-6
"""Probability of a class at least, for log losses."""


def bases(table, seed):
    found = {
        "forest": RandomForestClassifier(300, random_state=seed),
        "hgb": HistGradientBoostingClassifier(random_state=seed),
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
    }
    if not isinstance(table.X, pd.DataFrame):
        return found
    return {name: make_pipeline(encoder(), base) for name, base in found.items()}


def deep(name, seed):
    import pytabkit

    kind = {"realmlp": pytabkit.RealMLP_TD_Classifier, "tabm": pytabkit.TabM_D_Classifier}[name]
    return kind(device="cpu", random_state=seed, n_threads=torch.get_num_threads(), verbosity=0)


def ours(table, seed, params):
    clf = FlywheelClassifier(random_state=seed, **params).fit(table.X, table.given)
    found = {"suspects": int(clf.get_label_issues()["is_label_issue"].sum()), "decisions": chosen(clf)}
    found["undone"] = int(clf.history_["undone"].sum())
    found["calibration_error"] = calibration_error(clf.clean_proba_, table.given == table.y)
    return clf.predict(table.X_test), clf.clean_proba_, found | of_probabilities(clf, table)


def chosen(clf):
    return {row.decision: [row.chosen, round(row.z, 2)] for row in clf.decisions_.itertuples()}


def plain(table, base):
    base.fit(table.X, table.given)
    return base.predict(table.X_test), None, of_probabilities(base, table)


def of_probabilities(clf, table):
    """How good `predict_proba` is on test rows: log loss; AUROC and average precision, means over the classes."""
    p = np.full((len(table.y_test), max(table.y.max(), table.y_test.max()) + 1), LEAST_LIKELY)
    p[:, np.unique(table.given)] = np.maximum(clf.predict_proba(table.X_test), LEAST_LIKELY)
    p /= p.sum(1, keepdims=True)
    classes = [(table.y_test == k, p[:, k]) for k in np.unique(table.y_test)]
    return {
        "log_loss": float(-np.log(p[np.arange(len(p)), table.y_test]).mean()),
        "test_auroc": float(np.mean([roc_auc_score(*one) for one in classes])),
        "average_precision": float(np.mean([average_precision_score(*one) for one in classes])),
    }


def quiet(table, base):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plain(table, base)


def clean_learning(table, base):
    from cleanlab.classification import CleanLearning

    learner = CleanLearning(base, cv_n_folds=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(table.X, table.given)
        issues = learner.get_label_issues()
    found = {"suspects": int(issues["is_label_issue"].sum())}
    return learner.predict(table.X_test), issues["label_quality"].to_numpy(), found


def audited(table, base, seed):
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    audit = cross_val_audit(base, table.X, table.given, cv=folds)
    own = cross_val_predict(base, table.X, table.given, cv=folds, method="predict_proba")
    own, right = own[np.arange(len(own)), table.given], table.given == table.y
    found = {"suspects": int((audit.clean_proba_ < 0.5).sum())}
    found["calibration_error"] = calibration_error(audit.clean_proba_, right)
    if not right.all():
        found["own_auroc"] = float(roc_auc_score(right, own))
    return base.fit(table.X, table.given).predict(table.X_test), audit.issues["label_quality"].to_numpy(), found


def of_right_labels(params):
    """Labels judged by nets trained on the true ones, on rows that these have not seen; trained once for all noises."""
    found = {}

    def run(table, seed):
        key = (seed, table.X.tobytes(), table.y.tobytes())
        if key not in found:
            found.clear()
            prob, test = np.zeros((len(table.y), table.y.max() + 1)), 0.0
            for rest, fold in StratifiedKFold(5, shuffle=True, random_state=seed).split(table.X, table.y):
                clf = FlywheelClassifier(random_state=seed, **params).fit(table.X[rest], table.y[rest])
                prob[np.ix_(fold, clf.classes_)] = clf.predict_proba(table.X[fold])
                test = test + clf.predict_proba(table.X_test)
            found[key] = clf.classes_[test.argmax(1)], prob
        predicted, prob = found[key]
        return predicted, prob[np.arange(len(prob)), table.given], {}

    return run


def methods(names, params):
    """Name -> function of (table, seed)."""
    found = {"ours": lambda table, seed: ours(table, seed, params), "right labels": of_right_labels(params)}
    for base in ("forest", "hgb", "logistic"):
        found[base] = lambda table, seed, base=base: plain(table, bases(table, seed)[base])
        found[f"audit {base}"] = lambda table, seed, base=base: audited(table, bases(table, seed)[base], seed)
        found[f"cleanlab {base}"] = lambda table, seed, base=base: clean_learning(table, bases(table, seed)[base])
    for name in ("realmlp", "tabm") if names or find_spec("pytabkit") else ():
        found[name] = lambda table, seed, name=name: quiet(table, deep(name, seed))
    return {name: found[name] for name in names.split(",")} if names else found


def measure(run, table, seed):
    start = time.perf_counter()
    predicted, quality, found = run(table, seed)
    found |= {"seconds": time.perf_counter() - start, "test": float((predicted == table.y_test).mean())}
    found["balanced"] = float(balanced_accuracy_score(table.y_test, predicted))
    wrong = table.given != table.y
    found |= {"n": len(wrong), "n_wrong": int(wrong.sum())}
    if quality is not None and wrong.any():
        found["auroc"] = float(roc_auc_score(~wrong, quality))
    return found
