"""One skorch net driven batch by batch: arithmetic, callbacks, precision, prediction."""

import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, Freezer, LRScheduler, TrainEndCheckpoint
from torch import nn
from torch.nn import functional as F

from noisyflywheel.backbones import MLP
from noisyflywheel.data import ArraySource
from noisyflywheel.nets import Batch, Trainer, prepare_net
from noisyflywheel.nets.average import WeightAverage
from noisyflywheel.nets.predicting import normalises_by_batch
from noisyflywheel.nets.stopping import StopTraining

RNG = torch.Generator().manual_seed(0)
X = torch.randn(12, 4, generator=RNG)
Y = torch.arange(12) % 3


def make(seed=0, **kwargs):
    net = NeuralNetClassifier(
        MLP,
        train_split=None,
        **{"criterion": nn.CrossEntropyLoss, "module__hidden": (8,), "lr": 0.1} | kwargs,
    )
    torch.manual_seed(seed)
    return Trainer(prepare_net(net, {"n_features": 4, "n_classes": 3}, None, False))


def net_of(module):
    return NeuralNetClassifier(module, train_split=None, criterion=nn.CrossEntropyLoss)


def steps(n=3):
    for i in range(n):
        rows = slice(4 * i, 4 * i + 4)
        yield Batch(X[rows], Y[rows], lambda log_p, y=Y[rows]: F.nll_loss(log_p, y))


def test_epoch_equals_a_bare_loop():
    trainer, bare = make(), make()
    mean = trainer.epoch(steps())
    module, optimizer = bare.net.module_, torch.optim.SGD(bare.net.module_.parameters(), lr=0.1)
    module.train()
    losses = []
    for x, y, *_ in steps():
        optimizer.zero_grad()
        loss = F.cross_entropy(module(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for ours, theirs in zip(trainer.net.module_.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert mean == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert trainer.net.history[-1, "train_loss"] == mean
    assert trainer.net.history[-1, "train_batch_count"] == 3


def test_epoch_without_steps_is_zero():
    assert make().epoch(iter(())) == 0.0


def test_log_probs_by_criterion():
    output = torch.tensor([[0.2, 0.3, 0.5]])
    torch.testing.assert_close(make().log_probs(output), torch.log_softmax(output, 1))
    nll = make(criterion=nn.NLLLoss)
    torch.testing.assert_close(nll.log_probs(output), torch.log(output))
    assert torch.isfinite(nll.log_probs(torch.tensor([[0.0, 0.0, 1.0]]))).all()
    custom = make(predict_nonlinearity=lambda x: x / x.sum(1, keepdim=True))
    torch.testing.assert_close(custom.log_probs(2 * output), torch.log(output))


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ({}, [[0.3, -torch.inf, 0.1]]),
        ({"criterion": nn.NLLLoss}, [[0.6, 0.0, 0.4]]),
        ({"predict_nonlinearity": lambda x: x.exp()}, [[-0.5, -torch.inf, -1.0]]),
    ],
    ids=["logits", "probabilities", "custom"],
)
def test_a_class_that_a_module_rules_out_has_a_finite_log_probability_and_no_gradient(kind, output):
    output = torch.tensor(output, requires_grad=True)
    log_p = make(**kind).log_probs(output)
    assert log_p[0, 1] == torch.tensor(1e-30).log() and log_p.isfinite().all()
    log_p.sum().backward()
    assert output.grad.isfinite().all() and output.grad[0, 1] == 0


def test_log_probabilities_are_left_as_they_are_where_they_are_finite_or_nan():
    trainer, output = make(), torch.tensor([[-100.0, -1e4, -0.0, -torch.inf, torch.nan]])
    trainer.kind = "log_probabilities"
    found = trainer.log_probs(output)
    assert torch.equal(found[:, :3], output[:, :3]) and found[0, 3] == torch.tensor(1e-30).log() and found[0, 4].isnan()
    logits = torch.tensor([[1e4, 0.0, -2.0]])
    assert torch.equal(make().log_probs(logits), torch.log_softmax(logits, 1))


def test_callbacks_hear_epochs_batches_and_gradients():
    heard = []

    class Ear(Callback):
        def on_train_begin(self, net, **kwargs):
            heard.append("begin")

        def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
            assert y_pred.shape == (4, 3)
            assert not loss.requires_grad
            heard.append("batch")

        def on_grad_computed(self, net, named_parameters, **kwargs):
            assert all(p.grad is not None for _, p in named_parameters)
            heard.append("grad")

        def on_epoch_end(self, net, **kwargs):
            heard.append("epoch")

        def on_train_end(self, net, **kwargs):
            heard.append("end")

    trainer = make(callbacks=[Ear()])
    trainer.begin()
    trainer.epoch(steps(1))
    trainer.end()
    assert heard == ["begin", "grad", "batch", "epoch", "end"]


@pytest.mark.parametrize("event", ["on_batch_begin", "on_grad_computed", "on_batch_end"])
def test_after_a_callback_that_predicts_steps_train_again(event):
    modes = []

    class Noting(nn.Linear):
        def forward(self, x):
            if torch.is_grad_enabled():
                modes.append(self.training)
            return super().forward(x)

    class Predicts(Callback):
        def predict(self, net, training=True, **kwargs):
            if training:
                net.predict(X[:2])

    setattr(Predicts, event, Predicts.predict)
    net = net_of(Noting).set_params(module__in_features=4, module__out_features=3, callbacks=[Predicts()])
    Trainer(prepare_net(net, {}, None, False)).epoch(steps())
    assert modes == [True] * 3


def test_weights_that_a_callback_puts_elsewhere_are_averaged():
    class Elsewhere(Callback):
        def on_train_begin(self, net, **kwargs):
            for weight in net.module_.parameters():
                weight.data = weight.data.clone()

    trainer = make(callbacks=[Elsewhere()])
    trainer.average = WeightAverage(trainer.net.module_, 2.0)
    trainer.begin()
    trainer.epoch(steps())
    own = [weight.detach().clone() for weight in trainer.net.module_.parameters()]
    with trainer.average.swapped():
        assert not any(map(torch.equal, own, trainer.net.module_.parameters()))
    assert all(map(torch.equal, own, trainer.net.module_.parameters()))


@pytest.mark.parametrize("more", [[], [LRScheduler("StepLR", step_size=1)]])
def test_checkpoints_of_skorch_are_written(more, tmp_path):
    checkpoints = [Checkpoint(monitor=None, dirname=tmp_path / "last"), TrainEndCheckpoint(dirname=tmp_path / "end")]
    trainer = make(callbacks=[*more, *checkpoints])
    trainer.begin()
    trainer.epoch(steps(2))
    trainer.end()
    assert (tmp_path / "last" / "params.pt").exists() and (tmp_path / "end" / "train_end_params.pt").exists()
    assert len(trainer.net.history[-1, "batches"]) == (2 if more else 1)


def test_a_callback_that_stops_training_is_told_apart_from_ctrl_c():
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(StopTraining, match="on_epoch_end"):
        make(callbacks=[Stop()]).epoch(steps())


def test_optimizers_that_call_the_closure_again():
    trainer = make(optimizer=torch.optim.LBFGS, optimizer__max_iter=5)
    before = trainer.epoch(steps(1))
    assert trainer.epoch(steps(1)) < before


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), torch.OutOfMemoryError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), torch.OutOfMemoryError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), MemoryError),
        (MemoryError("host"), MemoryError),
    ],
)
def test_out_of_memory_names_the_batch_size(raised, expected):
    def loss(log_p):
        raise raised

    trainer = make(batch_size=77)
    with pytest.raises(expected, match="out of memory in training with batch_size=77: set a smaller one"):
        trainer.epoch([Batch(X, Y, loss)])

    def view(x):
        raise raised

    with pytest.raises(expected, match="out of memory in prediction with batch_size=5"):
        list(trainer.predict_parts(ArraySource(X, torch.device("cpu")), view, torch.arange(4), 5))


def test_other_errors_pass_as_they_are():
    def loss(log_p):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="^mine$"):
        make().epoch([Batch(X, Y, loss)])


def test_scale_lr_is_relative_to_the_nets_own_and_leaves_users_nets():
    users = make()
    users.scale_lr(0.5)
    assert users.net.optimizer_.param_groups[0]["lr"] == 0.1
    trainer = make()
    trainer.scheduled = True
    trainer.scale_lr(0.5)
    trainer.scale_lr(0.25)
    assert trainer.net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.025)
    trainer.add_module(nn.Linear(2, 2))
    trainer.scale_lr(1.0)
    assert [g["lr"] for g in trainer.net.optimizer_.param_groups][0] == pytest.approx(0.1)


def test_added_module_is_trained():
    trainer, head = make(), nn.Linear(3, 3)
    trainer.add_module(head)
    before = head.weight.detach().clone()
    trainer.epoch([Batch(X, Y, lambda log_p: F.cross_entropy(head(log_p), Y))])
    assert not torch.equal(head.weight, before)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_an_added_module_is_trained_as_in_a_group_of_its_own(optimizer):
    """To the last bit, weight decay and momenta included."""
    heads = []
    for own_group in (False, True):
        settings = {"optimizer__momentum": 0.9} if optimizer is torch.optim.SGD else {}
        trainer = make(optimizer=optimizer, optimizer__weight_decay=0.1, **settings)
        head = nn.Linear(3, 3)
        if own_group:
            trainer.net.optimizer_.add_param_group({"params": list(head.parameters())})
        else:
            trainer.add_module(head)
        trainer.epoch([Batch(X, Y, lambda log_p, head=head: F.cross_entropy(head(log_p), Y))] * 3)
        heads.append((head.weight, *trainer.net.module_.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*heads, strict=True))


def test_schedules_of_a_value_for_each_group_take_an_added_module():
    lambdas = [lambda epoch: 1.0, lambda epoch: 0.5**epoch]
    trainer = make(
        optimizer__param_groups=[("*bias", {"lr": 0.2})], callbacks=[LRScheduler("LambdaLR", lr_lambda=lambdas)]
    )
    head = nn.Linear(3, 3)
    trainer.add_module(head)
    trainer.begin()
    for _ in range(2):
        trainer.epoch([Batch(X, Y, lambda log_p: F.cross_entropy(head(log_p), Y))])
    groups = trainer.net.optimizer_.param_groups
    assert [group["lr"] for group in groups] == [0.2, 0.025] and groups[-1]["params"][-1] is head.bias


@pytest.mark.parametrize("frozen_from", [1, 2])
def test_a_callback_that_freezes_all_weights_is_named_before_the_first_step_without_any(frozen_from):
    """torch spoke of a grad_fn; where a head was trained, it went on with the rest as it was."""
    trainer = make(callbacks=[Freezer("*", at=lambda net: len(net.history) >= frozen_from)])
    trainer.begin()
    for _ in range(frozen_from - 1):
        trainer.epoch(steps())
    with pytest.raises(ValueError, match="^the net trains no weights: all those of its module MLP are frozen"):
        trainer.epoch(steps())


def test_tuple_outputs_use_their_first_part():
    class Pair(nn.Module):
        def __init__(self, n_features, n_classes):
            super().__init__()
            self.layer = nn.Linear(n_features, n_classes)

        def forward(self, x):
            return self.layer(x), x

    trainer = Trainer(prepare_net(net_of(Pair), {"n_features": 4, "n_classes": 3}, None, False))
    assert trainer.forward(X).shape == (12, 3)


def predicted(trainer, *asked, **options):
    return torch.cat(list(trainer.predict_parts(*asked, **options)))


def test_predict_is_eval_mode_in_order_and_free_of_batch_size():
    trainer = make()
    source, rows = ArraySource(X, torch.device("cpu")), torch.tensor([5, 0, 11, 3, 7])
    whole = predicted(trainer, source, lambda x: x, rows, 8, pad=True)
    single = torch.cat([predicted(trainer, source, lambda x: x, row[None], 8, pad=True) for row in rows])
    assert torch.equal(whole, single)
    assert not trainer.net.module_.training
    expected = torch.log_softmax(trainer.net.module_(X[rows]), 1)
    torch.testing.assert_close(whole, expected.detach())
    torch.testing.assert_close(predicted(trainer, source, lambda x: x, rows, 2), expected.detach())


class ByBatch(nn.Module):
    """Takes mean and variance from the rows of a batch, in eval mode too."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layer, self.norm = nn.Linear(n_features, n_classes), nn.BatchNorm1d(n_classes, track_running_stats=False)

    def forward(self, x):
        return self.norm(self.layer(x))


@pytest.mark.parametrize("n", [8, 7, 5], ids=["whole batches", "a shorter one", "a single row left"])
@pytest.mark.parametrize("pad", [True, False])
def test_modules_that_normalise_by_batch_see_the_rows_of_a_batch_only(n, pad):
    """The last batch was filled with copies of its last row, which counted."""
    trainer = Trainer(prepare_net(net_of(ByBatch), {"n_features": 4, "n_classes": 3}, None, False))
    found = predicted(trainer, ArraySource(X, torch.device("cpu")), lambda x: x, torch.arange(n), 4, pad=pad)
    cut = [X[:n]] if n == 5 else X[:n].split(4)
    with torch.no_grad():
        torch.testing.assert_close(found, torch.cat([trainer.net.module_(x).log_softmax(1) for x in cut]))


def test_a_single_row_can_be_predicted_by_batch():
    trainer = Trainer(prepare_net(net_of(ByBatch), {"n_features": 4, "n_classes": 3}, None, False))
    source = ArraySource(X, torch.device("cpu"))
    assert predicted(trainer, source, lambda x: x, torch.arange(1), 4, pad=True).isfinite().all()


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (nn.BatchNorm2d(3, track_running_stats=False), True),
        (nn.SyncBatchNorm(3, track_running_stats=False), True),
        (nn.BatchNorm1d(3), False),
        (nn.InstanceNorm1d(3), False),
        (nn.GroupNorm(1, 3), False),
    ],
)
def test_which_norms_take_the_rows_of_a_batch_in_eval_mode(norm, expected):
    assert normalises_by_batch(nn.Sequential(nn.Linear(2, 3), norm)) == expected


class Remembering(nn.Module):
    """Keeps what it has made for a number of rows, as modules keep masks and encodings of positions."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layer, self.kept = nn.Linear(n_features, n_classes), torch.zeros(0)

    def forward(self, x):
        if len(self.kept) != len(x):
            self.kept = torch.full((len(x), 1), 2.0)
        return self.layer(x) * self.kept


def test_what_a_module_keeps_of_a_prediction_can_be_trained_with():
    net = NeuralNetClassifier(Remembering, train_split=None, criterion=nn.CrossEntropyLoss)
    trainer = Trainer(prepare_net(net, {"n_features": 4, "n_classes": 3}, None, False))
    before = trainer.net.module_.layer.weight.detach().clone()
    predicted(trainer, ArraySource(X, torch.device("cpu")), lambda x: x, torch.arange(4), 4)
    trainer.epoch(steps())
    assert not torch.equal(trainer.net.module_.layer.weight, before)


class Members(nn.Module):
    """Two members that note which rows they are asked to train on."""

    def __init__(self, only_own):
        super().__init__()
        self.only_own, self.asked = only_own, []
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x, trains=None):
        self.asked.append(trains)
        return self.bias.expand(2, len(x), 3)


@pytest.mark.parametrize("only_own", [True, False])
def test_members_are_told_which_rows_have_weight(only_own):
    net = NeuralNetClassifier(Members(only_own), criterion=nn.CrossEntropyLoss, train_split=None)
    trainer = Trainer(prepare_net(net, {}, None, False))
    weights = torch.tensor([[2.0, 0.0, 2.0], [0.0, 2.0, 0.0]])
    trainer.epoch([Batch(X[:3], Y[:3], lambda log_p: -log_p.mean(), weights=weights)])
    (asked,) = trainer.net.module_.asked
    assert torch.equal(asked, weights > 0) if only_own else asked is None
