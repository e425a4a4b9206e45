import ast
import copy
import io
import pickle
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import audit_table, cross_val_audit
from noisyflywheel.audit.scores import progress
from noisyflywheel.audit.scores.held_out import CycleMean, fold_key
from noisyflywheel.audit.scores.progress import FitsProgress, Uncounted, counted, duration, has_bar

pytestmark = pytest.mark.usefixtures("quick_folds")

FLYWHEEL = SimpleNamespace(settings=SimpleNamespace(n_cycles=4), n_rounds=1)


def test_lines_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    file = io.StringIO()
    with FitsProgress(2, file=file) as count:
        for _ in range(8):
            count(FLYWHEEL, {})
    lines = file.getvalue().splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("training: 1 of 8 cycles, about ")
    assert lines[-1] == "training: 8 of 8 cycles, about 0 s left"


def test_lines_are_few():
    file = io.StringIO()
    with FitsProgress(1, file=file) as count:
        count(FLYWHEEL, {})
    assert file.getvalue() == ""


def test_a_bar_with_the_time_that_is_left():
    file = io.StringIO()
    with FitsProgress(2, show=True, file=file) as count:
        for _ in range(5):
            count(FLYWHEEL, {})
        count.bar.refresh()
    last = file.getvalue().split("\r")[-1]
    assert "5/8 cycles" in last
    assert "left" in last
    assert "fit 2 of 2" in last


def test_repeated_cycles_do_not_overflow():
    with FitsProgress(1, file=io.StringIO()) as count:
        for _ in range(6):
            count(FLYWHEEL, {})
        assert count.n == 4


def test_cycles_of_further_rounds_are_counted_on_top():
    again = SimpleNamespace(settings=FLYWHEEL.settings, n_rounds=2)
    file = io.StringIO()
    with FitsProgress(2, show=True, file=file) as count:
        for flywheel in [FLYWHEEL] * 4 + [again] * 2 + [FLYWHEEL]:
            count(flywheel, {})
        assert (count.n, count.bar.total) == (7, 10)
        assert "fit 2 of 2" in count.bar.postfix


def test_clones_count_together_other_processes_do_not():
    with FitsProgress(1, file=io.StringIO()) as count:
        assert clone(FlywheelClassifier(on_cycle=count)).on_cycle is count
        other = pickle.loads(pickle.dumps(count))
        assert isinstance(other, Uncounted)
        assert other(FLYWHEEL, {}) is None


def test_the_estimator_is_as_before():
    model = FlywheelClassifier()
    with pytest.raises(RuntimeError), counted(model, 1, show=False):
        assert isinstance(model.on_cycle, FitsProgress)
        raise RuntimeError
    assert model.on_cycle is None
    own = FlywheelClassifier(on_cycle=print)
    with counted(own, 1), counted(LogisticRegression(), 1):
        assert own.on_cycle is print


def test_a_terminal_has_a_bar():
    assert has_bar(SimpleNamespace(isatty=lambda: True))
    assert not has_bar(io.StringIO())


@pytest.mark.parametrize(("seconds", "said"), [(3.2, "3 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_duration(seconds, said):
    assert duration(seconds) == said


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 20)
    return pd.DataFrame({"x": rng.normal(y * 3), "z": rng.normal(size=40), "y": np.where(y, "b", "a")})


def test_all_fits_of_an_audit_are_counted(table, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    model = FlywheelClassifier(n_cycles=2, n_warmup_epochs=1, random_state=0, device="cpu")
    audit_table(table, "y", estimator=model, cv=2, progress=True)
    assert capsys.readouterr().err.splitlines()[-1].startswith("training: 6 of 6 cycles")
    assert model.on_cycle is None
    audit_table(table, "y", estimator=model)
    assert capsys.readouterr().err == ""


def test_finished_folds_are_kept(table, tmp_path, monkeypatch):
    X, y = table[["x", "z"]].to_numpy(), table["y"].to_numpy()
    calls = []

    class Counting(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            calls.append(len(y))
            if len(calls) == 2:
                raise KeyboardInterrupt
            return super().fit(X, y, sample_weight)

    plain = cross_val_audit(LogisticRegression(), X, y, cv=4)
    with pytest.raises(KeyboardInterrupt):
        cross_val_audit(Counting(), X, y, cv=4, fold_dir=tmp_path)
    again = cross_val_audit(Counting(), X, y, cv=4, fold_dir=tmp_path)
    assert len(calls) == 5  # one fold was finished, one was stopped
    pd.testing.assert_frame_equal(again.issues, plain.issues)
    next(tmp_path.glob("*.npz")).write_bytes(b"cut off")
    cross_val_audit(Counting(), X, y, cv=4, fold_dir=tmp_path)
    assert len(calls) == 6
    cross_val_audit(Counting(C=0.5), X, y, cv=4, fold_dir=tmp_path)
    assert len(calls) == 10


STEPS = {
    "lambda": [FunctionTransformer(lambda X: X), FunctionTransformer(lambda X: X[:, :1])],
    "frozen": [FrozenEstimator(StandardScaler().fit([[0.0, 0.0], [s, 1.0]])) for s in (1.0, 1e6)],
    "class": [type("Own", (FunctionTransformer,), {"transform": m})() for m in (lambda s, X: X, lambda s, X: X[:, :1])],
}


@pytest.mark.parametrize("kind", STEPS)
def test_folds_of_steps_that_do_other_things_under_the_same_name_are_judged_anew(table, tmp_path, kind):
    X, y = table[["x", "z"]].to_numpy(), table["y"].to_numpy()
    kept, plain = [], []
    for step in STEPS[kind]:
        model = make_pipeline(step, LogisticRegression())
        kept.append(cross_val_audit(model, X, y, cv=2, fold_dir=tmp_path).issues)
        plain.append(cross_val_audit(model, X, y, cv=2).issues)
    assert not plain[0].equals(plain[1])
    pd.testing.assert_frame_equal(kept[1], plain[1])


def test_the_last_step_of_a_fold_counts_by_what_it_does():
    X, y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 0])
    fits = [FrozenEstimator(LogisticRegression(C=C).fit(X, y)) for C in (0.1, 10)]
    own = [type("Own", (LogisticRegression,), {"predict_proba": m})() for m in (lambda s, X: X, lambda s, X: 1 - X)]
    assert len({fold_key(model, X, y) for model in (*fits, *own, fits[0])}) == 4
    assert len({fold_key(make_pipeline("passthrough", model), X, y) for model in (*fits, *own, fits[0])}) == 4


def test_a_flywheel_keeps_its_folds_and_forgets_the_folder(table, tmp_path):
    model = FlywheelClassifier(n_cycles=2, n_warmup_epochs=1, random_state=0, device="cpu")
    first = audit_table(table, "y", estimator=model, cv=2, checkpoint=tmp_path)
    assert len(list(tmp_path.glob("fold-*.npz"))) == 2
    assert model.checkpoint_dir is None
    plain = audit_table(table, "y", estimator=clone(model), cv=2)
    pd.testing.assert_frame_equal(first.issues, plain.issues)


KEY = """
import numpy as np, torch
from skorch import NeuralNetClassifier
from skorch.helper import SliceDataset
from torch import nn
from torch.utils.data import TensorDataset
from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit.scores.held_out import fold_key

filler = [torch.randn(100) for _ in range({n})]
torch.manual_seed(0)
net = NeuralNetClassifier(nn.Linear(3, 2), criterion=nn.CrossEntropyLoss, criterion__weight=torch.ones(2))
own = NeuralNetClassifier(lambda: nn.Linear(3, 2), criterion=nn.CrossEntropyLoss)
rows = SliceDataset(TensorDataset(torch.eye(3), torch.zeros(3)))
print([fold_key(FlywheelClassifier(n), X, np.arange(3)) for n in (net, own) for X in (np.eye(3), rows)])
"""


def test_folds_of_nets_and_datasets_are_known_in_another_process():
    run = partial(subprocess.run, capture_output=True, text=True, check=True)
    first, second = (run([sys.executable, "-c", KEY.replace("{n}", str(n))]).stdout for n in (0, 7))
    assert first == second and len(set(ast.literal_eval(first))) == 4


def test_cycles_of_a_fit_that_began_again_do_not_count():
    """The guard may give one net up: the mean is that of the flywheel that was kept."""
    model = FlywheelClassifier(n_cycles=2, n_warmup_epochs=1, n_folds=1, random_state=0, device="cpu")
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    seen = []
    model.set_params(on_cycle=lambda flywheel, row: seen.append(flywheel)).fit(X, np.arange(40) % 2)
    other = copy.copy(seen[0])
    model.set_params(on_cycle=None)
    mean, alone = CycleMean(model, X), CycleMean(model, X)
    for flywheel in (other, other, seen[0]):
        mean(flywheel, {})
    alone(seen[0], {})
    assert mean.n == alone.n == 2
    np.testing.assert_array_equal(mean.proba, alone.proba)


def test_the_content_of_arrays_on_disk_decides(tmp_path):
    h5py = pytest.importorskip("h5py")
    keys = []
    for value in (0, 1, 0):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = np.full((4, 2), value)
            keys.append(fold_key(LogisticRegression(), file["x"], np.arange(4)))
    assert keys[0] == keys[2] != keys[1]
