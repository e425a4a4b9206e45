"""The auxiliary network f as an ONNX file: probabilities without torch, equal to `predict_proba` within 1e-5.

f alone predicts, so it is all that a service needs. The file takes float32 rows in batches of any size. Needs the
extra `onnx`.

    python examples/integrations/onnx_export.py
    python examples/integrations/onnx_export.py f.onnx
"""

import sys
import tempfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits, load_iris
from torch import Tensor, nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import FoldedMLP
from noisyflywheel.noise import symmetric

FIRST = {
    "input_offset_": "columns were centred in float64 first",
    "input_features_": "rows with missing cells were encoded first",
    "encoder_": "columns of the DataFrame were encoded first",
    "input_projection_": "wide sparse rows were projected first",
}
"""What `predict_proba` does to rows before f sees them, by the attribute that says so."""


class Probabilities(nn.Module):
    """Rows (n, d) to probabilities (n, K) by a copy of f's module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = deepcopy(module).cpu()
        if isinstance(module, FoldedMLP):  # numbers, not tensors: the graph may not branch on values
            divides = module.divides()
            del self.module.kept_share, self.module.temperature
            self.module.kept_share, self.module.divides = float(module.kept_share), lambda: divides
            self.module.temperature = float(module.temperature)
            del self.module.trees.n_levels
            self.module.trees.n_levels = int(module.trees.n_levels)

    def forward(self, x: Tensor) -> Tensor:
        """Rows of vectors as `predict_proba` sees them."""
        return torch.softmax(self.module(x), -1)


def to_onnx(clf: FlywheelClassifier, path: Path, n_features: int) -> None:
    """Write f of a classifier of vectors with logits as outputs (default nets, `CrossEntropyLoss`).

    Rows for the file have no missing cells; `predict_proba` fills them with `input_medians_`.
    """
    for name, step in FIRST.items():
        if getattr(clf, name, None) is not None:
            raise ValueError(f"{step} ({name}): do so before fit and before ONNX, with a step of your own")
    if not hasattr(clf, "aux_net_"):
        raise ValueError("refurbish=False trains no f: there is only main_net_")
    module = Probabilities(clf.aux_net_.module_).eval()
    rows = torch.zeros(7, n_features)
    shapes = {"x": {0: torch.export.Dim("n")}}
    program = torch.export.export(module, (rows,), dynamic_shapes=shapes, strict=True)
    torch.onnx.export(program, f=path, input_names=["x"], output_names=["proba"], dynamo=True, external_data=False)


def largest_difference(load, path: Path) -> float:
    """Fit on data with wrong labels, export, and compare on all rows."""
    X, y = load(return_X_y=True)
    clf = FlywheelClassifier(n_warmup_epochs=5, n_cycles=5, random_state=0).fit(X, symmetric(y, 0.2, random_state=0))
    to_onnx(clf, path, X.shape[1])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (proba,) = session.run(None, {"x": X.astype(np.float32)})
    return float(np.abs(proba - clf.predict_proba(X)).max())


def main(name: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(name or Path(folder) / "f.onnx")
        print(f"a table (iris, folds):     largest difference {largest_difference(load_iris, path):.1e}")
        print(f"pixels (digits, one net):  largest difference {largest_difference(load_digits, path):.1e}")
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:2])
