"""What can be known of a net before any training: does it fit the rows, the classes, its criterion and callbacks?"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Checkpoint, InputShapeSetter
from torch import Tensor, nn

from noisyflywheel.nets.criterion import check_criterion
from noisyflywheel.nets.frozen import check_may_train
from noisyflywheel.nets.layout import is_channels_last, to_usual_order
from noisyflywheel.nets.modules import all_modules
from noisyflywheel.nets.narrow import narrow_convolutions
from noisyflywheel.nets.stopping import check_monitors
from noisyflywheel.nets.trainer import Trainer


def check_forward(trainer: Trainer, x: Tensor, n_classes: int, name: str) -> None:
    """Look at criterion and callbacks, then send a few views through the net in eval mode and see what comes out.

    A module that does not take pictures channels last gets weights in torch's usual order, and one that does not run in
    bf16, or is wrong in it, goes without.

    Parameters
    ----------
    trainer : Trainer
        Its net is initialised.
    x : Tensor of shape (B, ...)
        Views.
    n_classes : int
        K.
    name : str
        "main_net" or "aux_net", for messages.

    Raises
    ------
    TypeError
        If the module returns no tensor.
    ValueError
        If it cannot take the rows, or see `check_criterion`, `check_monitors`, `check_shape_setters`, `check_may_train`
        and `check_output`.
    """
    check_may_train(trainer.net, name)
    check_criterion(trainer.net, n_classes, name)
    check_monitors(trainer.net, name)
    check_shape_setters(trainer.net, name)
    trainer.net._set_training(False)
    with naming_rows(name, x), torch.no_grad():
        output = _first_output(trainer, x.to(trainer.device))
    output = output[0] if isinstance(output, tuple) else output
    if not isinstance(output, Tensor):
        raise TypeError(f"{name} returns a {type(output).__name__}, not a Tensor.")
    kind = trainer.kind
    if kind == "custom":
        output, kind = trainer.net._get_predict_nonlinearity()(output.float()), "probabilities"
    check_output(output, kind, len(x), n_classes, name, trainer.net.predict_nonlinearity)


def check_shape_setters(net: NeuralNet, name: str) -> None:
    """Raise ValueError if a callback would make the module anew, by rows that callbacks are not given here."""
    for label, callback in net.callbacks_:
        if isinstance(callback, InputShapeSetter):
            raise ValueError(
                f"{name} has the callback {label} (InputShapeSetter), but X is None in on_train_begin: let the module "
                f"take n_features or in_channels, which are filled in, or set its width yourself."
            )


def _first_output(trainer: Trainer, x: Tensor) -> Any:
    """What the module returns for views (B, ...), in bf16 and channels last only if it takes that, also from now on."""
    module, errors = trainer.net.module_, list[Exception]()
    precisions = (True, False) if trainer.amp else (False,)
    layouts = (True, False) if is_channels_last(module) else (False,)
    for amp, last in itertools.product(precisions, layouts):
        trainer.amp = amp
        if errors and last:
            module.to(memory_format=torch.channels_last)
        elif errors:
            to_usual_order(module)
        try:
            return _output(trainer, x)
        except (RuntimeError, TypeError) as error:
            errors.append(error)
    raise errors[-1]


def _output(trainer: Trainer, x: Tensor) -> Any:
    """What the module returns for views (B, ...), without bf16 from now on where that does not suit it."""
    asks = trainer.amp and trainer.device.type == "cpu"  # elsewhere hooks would compile a net from torch.compile twice
    watch = narrow_convolutions(all_modules(trainer.net)) if asks else nullcontext(list[nn.Module]())
    with trainer.autocast(), watch as narrow:
        output = trainer.net.infer(trainer.laid_out(x))
    if trainer.amp and (narrow or _is_coarse(output, trainer.kind)):
        trainer.amp = False
        return _output(trainer, x)
    return output


def _is_coarse(output: Any, kind: str) -> bool:
    """Whether what is no logits is in bf16, as a softmax on a CPU is: such probabilities do not sum to 1."""
    output = output[0] if isinstance(output, tuple) else output
    return kind != "logits" and getattr(output, "dtype", None) == torch.bfloat16


def check_own_files(main_net: NeuralNet, aux_net: NeuralNet) -> None:
    """Raise ValueError if skorch's checkpoints of both nets, initialised, are one file: that of the other is lost."""
    if common := sorted(_checkpoint_files(main_net) & _checkpoint_files(aux_net)):
        raise ValueError(
            f"main_net and aux_net both write {common[0]!r} (Checkpoint): give both, each with a dirname or fn_prefix "
            f"of its own. A net that is not given is a clone of the other, with its callbacks."
        )


def check_own_weights(main_net: NeuralNet, aux_net: NeuralNet) -> None:
    """Raise ValueError if both nets, initialised, train the same weights, as those of a factory with one module do."""
    of_main = {id(weight) for _, weight in main_net.get_all_learnable_params() if weight.requires_grad}
    for name, weight in aux_net.get_all_learnable_params():
        if id(weight) in of_main:
            raise ValueError(
                f"main_net and aux_net train the same weights ({name}): a function given as module must make a new "
                f"one at each call. Weights to begin with may be those of a module given itself, which is copied."
            )


def _checkpoint_files(net: NeuralNet) -> set[str]:
    found = [getattr(callback, "checkpoint_", callback) for _, callback in net.callbacks_]  # of TrainEndCheckpoint
    written = [c for c in found if isinstance(c, Checkpoint)]
    names = [(c, name) for c in written for name in (c.f_params, c.f_optimizer, c.f_history, c.f_pickle)]
    return {os.path.join(c.dirname, c.fn_prefix + name) for c, name in names if isinstance(name, str)}


@contextmanager
def naming_rows(name: str, x: Tensor) -> Iterator[None]:
    """Errors inside are a ValueError that says which net cannot take rows like x (B, ...)."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError, AssertionError) as error:
        raise ValueError(f"{name} cannot take rows of shape {tuple(x.shape[1:])}: {error}") from error


def check_output(output: Tensor, kind: str, n_rows: int, n_classes: int, name: str, nonlinearity: Any = "auto") -> None:
    """Compare a net's first output with what its criterion, or its ``predict_nonlinearity``, promises.

    Raises
    ------
    ValueError
        If it does not have shape (n_rows, n_classes), or is no probability where one is expected.

    Warns
    -----
    UserWarning
        If it looks like probabilities where the criterion expects logits.
    """
    if tuple(output.shape) != (n_rows, n_classes):
        raise ValueError(
            f"{name} returns an output of shape {tuple(output.shape)} for {n_rows} rows; "
            f"{n_classes} classes need ({n_rows}, {n_classes}). Let the module take n_classes, or say how many there "
            f"are: of torchvision's and timm's by module__num_classes={n_classes}."
        )
    output = output.detach().float().cpu()
    if bool(output.isnan().any()):
        raise ValueError(f"{name} returns NaN before any training: look at the module and its initial weights.")
    if kind == "logits" and _is_distribution(output):
        warnings.warn(
            f"{name} returns rows that sum to 1 but its criterion CrossEntropyLoss expects logits: remove "
            f"the softmax from the module, or use criterion=NLLLoss.",
            UserWarning,
            stacklevel=2,
        )
    if kind == "probabilities" and not _is_distribution(output):
        if nonlinearity != "auto":
            raise ValueError(
                f"{name} has predict_nonlinearity={nonlinearity!r}, and its predictions are no probabilities with it: "
                f"leave it out, and the criterion says how to make some."
            )
        raise ValueError(
            f"{name} returns values that are no probabilities, but its criterion expects probabilities "
            f"(skorch's NLLLoss): add a softmax to the module, or use criterion=CrossEntropyLoss."
        )
    if kind == "log_probabilities" and not _is_distribution(output.exp()):
        raise ValueError(
            f"{name} returns values that are no log-probabilities but its criterion NLLLoss on a plain "
            f"NeuralNet expects them: add a log_softmax to the module, or use criterion=CrossEntropyLoss."
        )


def _is_distribution(output: Tensor) -> bool:
    """Whether rows are at least 0 and sum to 1."""
    return bool((output >= 0).all()) and torch.allclose(output.sum(1), torch.ones(len(output)), atol=1e-3)
