"""Thousands of harmed checkpoints: each is refused by our error alone, and none of them does anything."""

import hashlib
import io
import json
import os
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch

from noisyflywheel.persistence import (
    CheckpointError,
    Flat,
    flatten,
    load_checkpoint,
    save_checkpoint,
    unflatten,
)
from noisyflywheel.persistence.store import ARRAYS, MANIFEST, TENSORS

FILES = (MANIFEST, TENSORS, ARRAYS)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Directory and bytes of a small whole checkpoint."""
    root = tmp_path_factory.mktemp("original")
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {
        "net": layer.state_dict(),
        "opt": optimizer.state_dict(),
        "q": np.arange(4.0),
        "nan": float("nan"),
    }
    flat = flatten(state)
    path = save_checkpoint(root, flat.tensors, flat.arrays, {"tree": flat.tree, "cycle": 3})
    load_checkpoint(root)  # whatever is imported on the first load is imported now
    return root, path, {name: (path / name).read_bytes() for name in FILES}


def mutate(rng, files):
    """One random harm to one file (or a swap of two): never the identity."""
    name = rng.choice(FILES)
    raw = bytearray(files[name])
    kind = rng.choice(["bit", "byte", "cut", "append", "insert", "delete", "zero", "swap", "block", "edit"])
    at = rng.randrange(len(raw))
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
    elif kind == "swap":
        other = rng.choice([n for n in FILES if n != name])
        return {**files, name: files[other], other: files[name]}
    elif kind == "block":
        to = rng.randrange(len(raw))
        raw[to : to + 16] = raw[at : at + 16]
    else:
        return {**files, MANIFEST: edit(rng, files[MANIFEST])}
    return {**files, name: bytes(raw)}


JUNK = [
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    "",
    "../../x",
    "os.system",
    [],
    {},
    [[[]]],
    {"$tensor": "x"},
    "\ud800",
]


def edit(rng, raw, sign=False):
    """A manifest with one value anywhere replaced by junk, or one key renamed; signed again or not."""
    manifest = json.loads(raw)
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(manifest)
    node, key = rng.choice(places)
    if isinstance(node, dict) and rng.random() < 0.3:
        node[f"{key}x"] = node.pop(key)
    else:
        node[key] = rng.choice(JUNK)
    if sign:
        manifest.pop("sha256", None)
        body = json.dumps(manifest).encode()
        manifest["sha256"] = hashlib.sha256(body).hexdigest()
    return json.dumps(manifest).encode()


def write(path, files):
    for name, content in files.items():
        (path / name).write_bytes(content)


def test_every_harm_is_noticed_and_nothing_is_done(original, watched):
    """2,400 mutations: no silent load, no other exception, no write, import or execution."""
    root, path, files = original
    rng = random.Random(0)
    try:
        for _ in range(2400):
            harmed = mutate(rng, files)
            if harmed == files:
                continue
            write(path, {name: raw for name, raw in harmed.items() if raw != files[name]})
            with watched() as record, pytest.raises(CheckpointError) as caught:
                load_checkpoint(root)
            assert caught.value.path.startswith(str(path))
            assert record == []
            write(path, {name: raw for name, raw in files.items() if raw != harmed[name]})
    finally:
        write(path, files)
    assert load_checkpoint(root).meta["cycle"] == 3


def test_signed_edits_load_as_data_or_not_at_all(original, watched):
    """800 edits whose signature is right: whatever loads is plain data; unflatten has no other error."""
    root, path, files = original
    rng = random.Random(1)
    loaded = 0
    try:
        for _ in range(800):
            write(path, {MANIFEST: edit(rng, files[MANIFEST], sign=True)})
            with watched() as record:
                try:
                    found = load_checkpoint(root)
                    unflatten(Flat(found.tensors, found.arrays, found.meta.get("tree")))
                    loaded += 1
                except CheckpointError:
                    pass
            assert record == []
    finally:
        write(path, files)
    assert loaded > 0


def test_deeply_nested_json(original):
    root, path, files = original
    try:
        for raw in (
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"format": "noisyflywheel-checkpoint", "version": ' + b"9" * 9999,
        ):
            write(path, {MANIFEST: raw})
            with pytest.raises(CheckpointError):
                load_checkpoint(root)
    finally:
        write(path, files)


def signed_with(path, files, name, content):
    """Replace one file and sign the manifest for it."""
    manifest = json.loads(files[MANIFEST])
    manifest.pop("sha256")
    manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["sha256"] = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()
    write(path, {MANIFEST: json.dumps(manifest).encode(), name: content})


def test_a_pickle_in_place_of_any_file_is_not_executed(original, watched, canary):
    root, path, files = original
    buffer = io.BytesIO()
    np.savez(buffer, q=np.array([canary], dtype=object))
    archive = io.BytesIO()
    torch.save({"w": torch.ones(2)}, archive)
    raw_zip = io.BytesIO()
    with zipfile.ZipFile(raw_zip, "w") as z:
        z.writestr("q.npy", pickle.dumps(canary))
        z.writestr("../../evil.npy", b"x")
    contents = [
        buffer.getvalue(),
        pickle.dumps(canary),
        archive.getvalue(),
        raw_zip.getvalue(),
        b"\x93NUMPY",
        b"x",
    ]
    try:
        for content in contents:
            for name in (ARRAYS, TENSORS):
                signed_with(path, files, name, content)
                with watched() as record, pytest.raises(CheckpointError):
                    load_checkpoint(root)
                assert record == []
                write(path, files)
    finally:
        write(path, files)
    assert not os.path.exists(canary.path)
    pickle.loads(pickle.dumps(canary))  # the canary does sing
    assert os.path.exists(canary.path)
