"""Thousands of harmed checkpoints: each is refused by our error alone, and none of them does anything."""

import io
import os
import pickle
import random
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch

from noisyflywheel.persistence import CheckpointError, load_checkpoint, save_checkpoint
from noisyflywheel.persistence.store import FORMAT

START = b"noisyflywheel %d 0.1.0" % FORMAT


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Directory, file and bytes of a small whole checkpoint."""
    root = tmp_path_factory.mktemp("original")
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {
        "net": layer.state_dict(),
        "opt": optimizer.state_dict(),
        "q": np.arange(4.0),
        "names": np.array(["a", None], dtype=object),
        "nan": float("nan"),
        "cycle": 3,
    }
    path = save_checkpoint(root, state)
    load_checkpoint(root)  # whatever is imported on the first load is imported now
    return root, path, path.read_bytes()


def mutate(rng, raw):
    """One random harm; half of them in the first line."""
    raw = bytearray(raw)
    kind = rng.choice(["bit", "byte", "cut", "append", "insert", "delete", "zero", "block"])
    at = rng.randrange(100 if rng.random() < 0.5 else len(raw))
    if kind == "bit":
        raw[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        raw[at] = (raw[at] + rng.randrange(1, 256)) % 256
    elif kind == "cut":
        del raw[at:]
    elif kind == "append":
        raw += rng.randbytes(rng.randrange(1, 50))
    elif kind == "insert":
        raw[at:at] = rng.randbytes(rng.randrange(1, 9))
    elif kind == "delete":
        del raw[at : at + rng.randrange(1, 9)]
    elif kind == "zero":
        raw[at : at + 64] = b"\0" * len(raw[at : at + 64])
    else:
        to = rng.randrange(len(raw))
        raw[to : to + 16] = raw[at : at + 16]
    return bytes(raw)


def test_every_harm_is_noticed_and_nothing_is_done(original, watched):
    """2,400 mutations: no silent load, no other exception, no write, import or execution."""
    root, path, raw = original
    rng = random.Random(0)
    try:
        for _ in range(2400):
            harmed = mutate(rng, raw)
            if harmed == raw:
                continue
            path.write_bytes(harmed)
            with watched() as record, pytest.raises(CheckpointError) as caught:
                load_checkpoint(root)
            assert caught.value.path == str(path)
            assert record == []
    finally:
        path.write_bytes(raw)
    assert load_checkpoint(root)["cycle"] == 3


def plain(value):
    """Whether a loaded value is data and nothing else."""
    if isinstance(value, dict):
        return all(plain(key) and plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(plain, value))
    return type(value) in (type(None), bool, int, float, str, torch.Tensor, np.ndarray)


def harm_pickle(rng, content):
    """The same archive with a harmed pickle inside."""
    archive = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, mutate(rng, part + b" " * 100) if name.endswith("data.pkl") else part)
    return archive.getvalue()


def test_signed_harm_loads_as_data_or_not_at_all(original, watched, sign):
    """250 harms under a right signature: whatever loads is plain data, and there is no other error.

    Some harms have torch's reader compare tensors, for which torch imports parts of itself: those of the first round.
    """
    root, path, raw = original
    content = raw.partition(b"\n")[2]
    rng = random.Random(1)
    harms = [harm_pickle(rng, content) if i % 2 else mutate(rng, content) for i in range(250)]
    loaded, modules = 0, set(sys.modules)
    try:
        for imported in (False, True):
            for harmed in harms:
                path.write_bytes(sign(START, harmed))
                with watched() as record:
                    try:
                        assert plain(load_checkpoint(root))
                        loaded += 1
                    except CheckpointError:
                        pass
                assert record == [] or not imported
    finally:
        path.write_bytes(raw)
    assert {name.partition(".")[0] for name in sys.modules.keys() - modules} <= {"torch", *sys.stdlib_module_names}
    assert loaded > 0


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_a_pickle_under_a_right_signature_is_not_executed(original, watched, canary, sign):
    root, path, raw = original
    buffer, script = io.BytesIO(), io.BytesIO()
    np.savez(buffer, q=np.array([canary], dtype=object))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), script)
    raw_zip = io.BytesIO()
    with zipfile.ZipFile(raw_zip, "w") as z:
        z.writestr("archive/data.pkl", pickle.dumps(canary))
        z.writestr("archive/version", b"3")
        z.writestr("../../evil", b"x")
    contents = [
        saved({"w": canary}),
        saved({"w": torch.nn.Linear(2, 2)}),
        saved({"w": os.system}),
        saved([torch.ones(2)]),
        saved({"w": torch.ones(2, device="meta")}),
        saved({"w": torch.nn.Parameter(torch.ones(2))}),
        pickle.dumps({"w": canary}),
        pickle.dumps(canary, protocol=0),
        buffer.getvalue(),
        script.getvalue(),
        raw_zip.getvalue(),
        b"\x93NUMPY",
        b"x",
        b"",
    ]
    try:
        for content in contents:
            path.write_bytes(sign(START, content))
            with watched() as record, pytest.raises(CheckpointError):
                load_checkpoint(root)
            assert record == []
    finally:
        path.write_bytes(raw)
    assert not os.path.exists(canary.path)
    pickle.loads(pickle.dumps(canary))  # the canary does sing
    assert os.path.exists(canary.path)
