"""What is done with fits on a device that is not the CPU: audits, reports, plots, recipes, views, Ctrl-C."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from scipy import sparse
from skorch import NeuralNetClassifier
from test_device_fits import N, X, check, classifier, given, pictures, small_net
from torch import nn
from torch.utils.data import TensorDataset

from noisyflywheel import plot, recipes
from noisyflywheel.audit import audit_table, cross_val_label_issues, write_report
from noisyflywheel.views import ImageViews, VectorViews

pytestmark = pytest.mark.usefixtures("quick_folds", "stand_in")

both_forms = pytest.mark.parametrize("n_folds", [1, pytest.param(2, marks=pytest.mark.slow)])


def test_report_and_plots_of_pictures_that_are_on_the_device(tmp_path):
    there = TensorDataset(torch.as_tensor(pictures, device="cuda"), torch.as_tensor(given, device="cuda"))
    clf = classifier(small_net()).fit(*there.tensors)
    for rows in (there.tensors[0], there):
        assert "data:image" in write_report(tmp_path / "report.html", clf, rows).read_text(encoding="utf-8")
    shown = [plot.LabelIssuesDisplay.from_estimator(clf, there.tensors[0], n_worst=2)]
    kinds = (plot.CleanProbaDisplay, plot.HistoryDisplay, plot.TransitionMatrixDisplay)
    shown += [kind.from_estimator(clf) for kind in kinds]
    assert all(isinstance(display.figure_, Figure) for display in shown)


@both_forms
def test_an_audit_of_rows_that_are_on_the_device(n_folds):
    there = torch.as_tensor(X, device="cuda"), torch.as_tensor(given, device="cuda")
    assert len(cross_val_label_issues(classifier(n_folds=n_folds), *there, cv=2)) == N


@pytest.mark.slow
def test_an_audit_of_a_table():
    table = pd.DataFrame(X, columns=list("abcd")).assign(pen=np.where(np.arange(N) % 2, "blue", None), label=given)
    assert len(audit_table(table, "label", estimator=classifier(n_folds=2)).issues) == N


@pytest.mark.slow
@both_forms
def test_words_missing_cells_and_rows_on_disk(n_folds, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", X)
    on_disk = np.load(tmp_path / "rows.npy", mmap_mode="r")
    missing = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    words = sparse.csr_array((rng.random((N, 40)) < 0.1).astype(float))
    for rows in (on_disk, missing, words, np.exp(3 * X)):
        check(classifier(n_folds=n_folds).fit(rows, given), rows)


@pytest.mark.slow
@pytest.mark.parametrize("literal", [True, False])
@pytest.mark.parametrize("name", ["cifar10", "cifar10_fast", "tiny_imagenet", "clothing1m"])
def test_recipes(name, literal):
    more = {"weights": None, "cycle_size": 40} if name == "clothing1m" else {}
    rows = pictures.repeat(4, 2).repeat(4, 3) if name == "clothing1m" else pictures
    short = {"n_warmup_epochs": 1, "n_cycles": 2, "main_net__batch_size": 24, "random_state": 0}
    clf = getattr(recipes, name)(literal=literal, device="cuda", views=ImageViews(pad=1), **short, **more)
    check(clf.fit(rows, given), rows)


OF_PICTURES = [ImageViews(pad=2, flip=False, n_ops=1, magnitude=30, mean=[0.5] * 3, std=[0.2] * 3), None]
OF_VECTORS = [VectorViews(noise=0.1), VectorViews(noise=0, mask=0.5), None]


@pytest.mark.slow
@pytest.mark.parametrize("views", OF_PICTURES)
@pytest.mark.parametrize("scale", [None, 255])
def test_views_of_pictures(views, scale):
    rows = pictures if scale is None else pictures.astype(np.float32) / scale
    clf = classifier(small_net(), views=views, contrastive_weight=0.1, mixup_alpha=1.0)
    check(clf.fit(rows, given), rows)


@pytest.mark.slow
@pytest.mark.parametrize("views", OF_VECTORS)
def test_views_of_vectors(views):
    check(classifier(n_folds=1, views=views, contrastive_weight=0.1, mixup_alpha=1.0).fit(X, given), X)


class Views:
    def weak(self, x):
        return x.float() + torch.randn_like(x.float())

    def strong(self, x, generator):
        return x.float() + torch.randn(x.shape, generator=generator, device=x.device)


@pytest.mark.slow
def test_views_of_the_users():
    check(classifier(n_folds=1, views=Views(), contrastive_weight=0.1).fit(X, given), X)


class Flattens(nn.Module):
    """Takes pictures in torch's usual order only."""

    def __init__(self, n_classes=3):
        super().__init__()
        self.convolution, self.line = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(256, n_classes)

    def forward(self, x):
        return self.line(self.convolution(x).view(len(x), -1))


def test_a_net_that_flattens_by_view():
    net = NeuralNetClassifier(Flattens, criterion=nn.CrossEntropyLoss, train_split=None, device="cuda", batch_size=32)
    check(classifier(net, contrastive_weight=0.1).fit(pictures, given), pictures)


@both_forms
def test_ctrl_c_leaves_the_cycles_so_far(n_folds):
    def stop(wheel, row):
        if row["cycle"] == 2:
            raise KeyboardInterrupt

    clf = classifier(n_folds=n_folds, n_cycles=4, on_cycle=stop)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, given)
    check(clf, X)


@pytest.mark.slow
@both_forms
def test_a_warm_start_on_another_device_or_from_a_pickle(n_folds):
    clf = classifier(n_folds=n_folds, warm_start=True).fit(X, given)
    again = pickle.loads(pickle.dumps(clf)).fit(X, given)
    np.testing.assert_array_equal(again.label_quality_, clf.fit(X, given).label_quality_)
    check(clf.set_params(device="cpu").fit(X, given).set_params(device="cuda").fit(X, given), X)
