"""What of a user's criterion counts: how to read the module's output, and the cross-entropy of the warm-up.

The cycles have losses of their own (Eqs. 7, 8 and 13), on labels that the flywheel makes. They take no class weights
and no smoothing: both E-steps read g and f as probabilities (Eqs. 4, 6, 11, 14), and these would no longer be that. A
loss of the user's own is never called, and is therefore refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from skorch import NeuralNet, NeuralNetClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from noisyflywheel.em.losses import cross_entropy

TRAINING_STEPS = (
    "get_loss",
    "train_step",
    "train_step_single",
    "run_single_epoch",
    "fit_loop",
    "get_iterator",
    "get_dataset",
)
"""Methods of a skorch net that the flywheel replaces by its own."""


def plain_criterion(net: NeuralNet) -> Any:
    """The net's criterion without the wrapper of ``torch.compile``."""
    return getattr(net.criterion_, "_orig_mod", net.criterion_)


def output_kind(net: NeuralNet) -> str:
    """What the module returns by skorch's rules: logits, probabilities, log_probabilities or custom."""
    if net.predict_nonlinearity != "auto":
        return "probabilities" if net.predict_nonlinearity is None else "custom"
    criterion = plain_criterion(net)
    if isinstance(criterion, nn.NLLLoss):
        return "probabilities" if isinstance(net, NeuralNetClassifier) else "log_probabilities"
    return "logits" if isinstance(criterion, nn.CrossEntropyLoss) else "custom"


def reading_of(net: NeuralNet) -> dict[str, str]:
    """How the output of an initialised net is read, by names: its kind, and what decides it."""
    nonlinearity = net.predict_nonlinearity  # a word, None or a function
    is_word = nonlinearity is None or isinstance(nonlinearity, str)
    name = str(nonlinearity) if is_word else getattr(nonlinearity, "__name__", type(nonlinearity).__name__)
    criterion = type(plain_criterion(net)).__name__
    return {"criterion": criterion, "predict_nonlinearity": name, "output": output_kind(net)}


def warm_up_loss(net: NeuralNet) -> Callable[..., Tensor]:
    """Cross-entropy on the given labels: from log-probabilities (B, K) and ``target`` (B,) to a scalar.

    ``weight`` and ``label_smoothing`` of the net's criterion count as in torch: the mean is weighted by the class.
    ``sample_weight`` (B,), of mean 1 over all rows, where given, weighs the rows.
    """
    criterion = plain_criterion(net)
    weight, smoothing = getattr(criterion, "weight", None), getattr(criterion, "label_smoothing", 0.0)
    if weight is None and not smoothing:
        return cross_entropy

    def loss(log_p: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        moved = None if weight is None else weight.to(log_p)
        # log_softmax, which cross_entropy begins with, leaves log-probabilities as they are
        if sample_weight is None:
            return F.cross_entropy(log_p, target, moved, label_smoothing=smoothing)
        rows = F.cross_entropy(log_p, target, moved, label_smoothing=smoothing, reduction="none")  # (B,)
        return (rows * sample_weight).sum() / (len(target) if moved is None else moved[target].sum())

    return loss


def check_training_steps(net: NeuralNet, name: str) -> None:
    """Raise ValueError if the net's class has a training step, loss or batches of its own: never called."""
    for step in TRAINING_STEPS:
        if getattr(type(net), step) not in (getattr(NeuralNet, step), getattr(NeuralNetClassifier, step)):
            raise ValueError(
                f"{name} overrides {step} ({type(net).__name__}.{step}), which is never called: the flywheel trains "
                f"with its own losses (Eqs. 8 and 13) and batches. What can be changed: module, optimizer, callbacks."
            )


def check_criterion(net: NeuralNet, n_classes: int, name: str) -> None:
    """Look for what would be ignored in the criterion of an initialised net.

    Raises
    ------
    ValueError
        If it is neither CrossEntropyLoss nor NLLLoss, or has a ``forward``, ``reduction`` or ``ignore_index`` that
        would have no effect, or ``weight`` that does not fit K classes. The message names it.
    """
    criterion = plain_criterion(net)
    kind = type(criterion).__name__
    if type(criterion).forward not in (nn.CrossEntropyLoss.forward, nn.NLLLoss.forward):
        raise ValueError(
            f"{name} has criterion {kind}, which is never called: the flywheel trains with its own losses (Eqs. 8 and "
            f"13). Use CrossEntropyLoss for a module that returns logits, NLLLoss for one that returns probabilities."
        )
    if criterion.reduction != "mean":
        raise ValueError(f"{name} has criterion__reduction={criterion.reduction!r}, but losses here are means.")
    if 0 <= criterion.ignore_index < n_classes:
        raise ValueError(f"{name} has criterion__ignore_index={criterion.ignore_index}: no class is left out here.")
    _check_class_weights(criterion.weight, n_classes, name)


def _check_class_weights(weight: Tensor | None, n_classes: int, name: str) -> None:
    if weight is None:
        return
    if tuple(weight.shape) != (n_classes,):
        shape = tuple(weight.shape)
        raise ValueError(f"{name} has criterion__weight of shape {shape}, but there are {n_classes} classes.")
    if not bool((torch.isfinite(weight) & (weight > 0)).all()):
        raise ValueError(f"{name} has criterion__weight {weight.tolist()}: weights must be finite and > 0.")
