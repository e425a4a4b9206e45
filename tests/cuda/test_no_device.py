"""A CUDA device that is asked for and not there: one clear error before anything is trained."""

import numpy as np
import pytest
import torch
from made import make_pictures, small_net

from noisyflywheel import FlywheelClassifier


@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "cuda:7"])
def test_a_fit_on_pictures_says_what_is_missing(asked, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    X, given, _ = make_pictures(60)
    trained = []
    clf = FlywheelClassifier(device=asked, on_cycle=lambda wheel, row: trained.append(row))
    with pytest.raises(ValueError, match=f"device '{asked}' is not there: torch sees 0 CUDA device"):
        clf.fit(X, given)
    assert trained == []
    assert not hasattr(clf, "classes_")


@pytest.mark.parametrize("which", ["main_net", "aux_net"])
def test_a_net_that_asks_for_it_is_named(which, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    X, given, _ = make_pictures(60)
    nets = {"main_net": small_net("cpu"), "aux_net": small_net("cpu")} | {which: small_net("cuda")}
    clf = FlywheelClassifier(**nets)
    with pytest.raises(ValueError, match=f"{which} has device='cuda'.*torch sees 0 CUDA device"):
        clf.fit(X, given)


def test_a_net_that_asks_for_it_and_is_moved_fits(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    X, given, _ = make_pictures(60)
    clf = FlywheelClassifier(small_net("cuda"), n_warmup_epochs=1, n_cycles=1, device="cpu", random_state=0)
    assert clf.fit(X, given).n_iter_ == 1


def test_auto_takes_the_cpu_where_there_is_no_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    X, given, _ = make_pictures(60)
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0).fit(X, given)
    assert next(clf.aux_net_.module_.parameters()).device.type == "cpu"
    assert np.isfinite(clf.label_quality_).all()
