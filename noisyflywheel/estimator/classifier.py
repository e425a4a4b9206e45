"""FlywheelClassifier: the scikit-learn contract around the flywheel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from skorch import NeuralNet

from noisyflywheel.estimator.callbacks import CallbackSupportMixin
from noisyflywheel.estimator.fit import fit_flywheel
from noisyflywheel.estimator.fitted.result import FittedMixin
from noisyflywheel.estimator.parameters import check_nested
from noisyflywheel.nets.devices import float32_on_cpu
from noisyflywheel.nets.parallel import joined
from noisyflywheel.persistence.estimator import Persistent


class FlywheelClassifier(Persistent, FittedMixin, CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """Classifier for data whose labels are partly wrong: the LNL-flywheel on two skorch networks.

    Two EM cycles take turns. The main network g estimates which given labels are clean; the auxiliary network f
    estimates the true classes of the others, and predicts. ``fit(X, y)`` takes the noisy labels; afterwards
    `get_label_issues` has a judgement of each of them.

    Parameters
    ----------
    main_net, aux_net : skorch NeuralNet or None, default=None
        Networks g and f. Both are cloned, never trained in place; module, optimizer, learning rate, callbacks and
        device stay as you set them. ``module__n_features``, ``module__n_classes`` and ``module__in_channels`` are
        filled in where the module takes them and they are unset. If one net is given, the other is a clone of it with
        its own seed. None builds both from X: for images a small ResNet, for vectors an MLP that standardises its input
        or, with folds, a stack of small MLPs.
    views : "auto", None or object, default="auto"
        Weak and strong augmentation: an object with ``weak(x)`` and ``strong(x)`` on batches of tensors. "auto" is
        `noisyflywheel.views.VectorViews` for vectors, none with folds, and `noisyflywheel.views.ImageViews` for images;
        None does not augment.
    n_warmup_epochs : "auto" or int >= 0, default="auto"
        Epochs of plain cross-entropy on the given labels before the first cycle; the paper has 10. "auto" goes on as
        long as what the nets learn carries over to given labels of rows they do not train on
        (`noisyflywheel.loop.decisions.warmup`, with folds `noisyflywheel.loop.with_folds.folded_warmup`).
    n_cycles : "auto" or int >= 1, default="auto"
        Cycles; in one cycle each network makes one pass over the data. "auto" is 100 with one net on all rows and 16
        with folds; half as many beyond 30,000 rows, and with nets of your own. With folds, up to 5,000 rows, 8 more
        follow if the first 16 clearly won given labels of unseen rows (`noisyflywheel.loop.with_folds.rounds`). Of the
        100 the nets may begin again after 30, on images after 40 (`noisyflywheel.loop.decisions.second_start`).
    n_folds : "auto" or int >= 1, default="auto"
        1 is one net on all rows, as in the paper. Above 1, default nets on vectors are stacks of members, each trained
        without its own fold of the rows, and every E-step judges a row out of fold, by the members that have not seen
        it (`noisyflywheel.loop.with_folds.out_of_fold`). "auto" is 1 for images, and for more than 60 features in one
        unit (pixels, embeddings) if there are 1.5 rows for each, simple classifiers tell the classes apart
        (`noisyflywheel.estimator.auto.separability`), and not a few or quiet features do
        (`noisyflywheel.estimator.auto.telling_features`); otherwise 5, beyond 5,000 rows 3, beyond 30,000 rows 2.
    cycle_size : int >= 2 or None, default=None
        Rows a cycle, drawn anew with balanced given labels (Sec. 4.2, Clothing1M); None takes all.
    cr_weight : float >= 0, default=3.0
        lambda, the weight of the confidence regularizer (Eq. 8); ``guard`` lowers it where the resampled labels have
        classes of very unequal size (`noisyflywheel.losses.limited_weight`).
    cr_ramp : "auto" or int >= 0, default="auto"
        Cycles over which lambda grows linearly from 0; 0 is its full weight at once, as in the paper. "auto" is a share
        of ``n_cycles``: 10 % for vectors, at most 5 cycles, 50 % with folds, and 40 % for images.
    contrastive_weight : "auto" or float >= 0, default="auto"
        alpha, the weight of the contrastive loss on two strong views (Sec. 4.1). "auto" is 0; the paper and the
        recipes have 0.025.
    mixup_alpha : "auto" or float >= 0, default="auto"
        Parameter of MixUp's Beta distribution in the M-step of f; 0 does not mix. "auto" is 0. The recipes set 4, and
        0.5 for pictures of 64 pixels and more.
    sharpen_temperature : float in (0, 10], default=1.0
        Temperature of f's prediction in its training targets (Eq. 11); below 1 sharpens.
    distribution_alignment : "auto" or float in [0, 1], default="auto"
        Share of the cycles, from the first one on, in which f's prediction is rescaled so that classes have the shares
        of the given labels (`noisyflywheel.em.share_factors`): a class is then not swallowed by one that it is often
        labelled as. 0 is the paper's loop. "auto" is 0.3, and 0 with folds and with ``resample="argmax"``.
    average_epochs : "auto" or float >= 0, default="auto"
        E-steps and prediction use a moving average of each net's weights over about this many epochs; 0 uses the
        weights as they are, as the paper. "auto" is 5 for images and 0 for vectors.
    noise_model : {"class", "uniform"}, default="class"
        "class": eps_i from T_c (Eq. 14); "uniform": eps = 1/K throughout (ablation of Table 6).
    resample : {"posterior", "argmax"}, default="posterior"
        Labels that g trains on: argmax of q_i(y) (Eq. 11 with the updated f), or argmax of f, as in the paper.
    calibrate : "auto", True or False, default="auto"
        False is the E-step of g as the paper has it (Eqs. 4 and 6). True takes the gamma of Eq. 4 from the share of
        given labels that f predicts, and gives g the temperature at which the given labels are most likely
        (`noisyflywheel.em.calibrate`). "auto" does the first as long as lambda grows, and both in cycles in which g is
        surer of its classes than its agreement with f warrants (`noisyflywheel.em.overconfidence`). Unless False,
        the neighbours of vectors have a say in the order of the labels (`noisyflywheel.loop.neighbours`).
    guard : bool, default=True
        Whether to stop a loop that replaces labels by worse guesses, with a `FlywheelWarning`: the first time it goes
        back and on with care, the second time the fit begins again with folds if "auto" had chosen one net for vectors,
        else it ends (`noisyflywheel.loop.watch.guard`). Warns too of a result in which all labels of a class are
        suspects, or a class is labelled as another more often than as itself.
    refurbish : bool, default=True
        False is the ablation without the auxiliary network (Eq. 7): g predicts and there is no ``aux_net_``.
    feature_layer : str, default="auto"
        Where the contrastive loss reads the features of f's module: "auto" is its ``forward_features``, else the input
        of its last Linear; otherwise the name of a submodule, whose output is read.
    warm_start : bool, default=False
        Whether ``fit`` on the same rows goes on for ``n_cycles`` further cycles, from a fit that had it True too:
        others keep nothing to go on from.
    checkpoint_dir : path-like or None, default=None
        Where to keep checkpoints. A fit that died goes on from its last one when ``fit`` is called again with the
        same directory, data and parameters, and ends bit by bit as if it had not (on a CPU); one that ended is
        loaded, not trained again. Each fit has a folder of its own there, named by data and parameters (nets, views
        and functions of your own by their code), so that fits in parallel never meet. Written after every warm-up
        epoch and cycle, and inside cycles of more than a minute; less often where writing would take more than 3 % of
        the time.
    on_cycle : callable or None, default=None
        Called as ``on_cycle(flywheel, row)`` after each cycle. It may return a dict of further columns of
        ``history_``: name to number, string or None.
    device : str, default="auto"
        Torch device of both nets. "auto": default nets run on CUDA where there is one, on several processes on that of
        LOCAL_RANK; your own nets keep theirs.
    distributed : "auto" or False, default="auto"
        Whether the processes that torchrun or its like started, or that torch.distributed knows, share the fit: each
        calls ``fit`` with the same X, y and parameters and ends with the same estimator. False: this one fits alone.
    verbose : int >= 0, default=0
        1 shows a progress bar, on a terminal and in a notebook.
    random_state : int, RandomState or None, default=None
        Drives initialisation, batch order, views, MixUp and dropout. Global random states are never changed, unless
        you hand in that of numpy (``np.random``); None takes fresh entropy.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The different labels, sorted.
    clean_proba_ : ndarray of shape (n,)
        Probability in [0, 1] that the given label is the true class; ranks as ``label_quality_`` does.
    label_quality_ : ndarray of shape (n,)
        Ranking score in [0, 1], higher = more likely right.
    refurbished_labels_ : ndarray of shape (n,)
        Most likely true label, in the caller's label type.
    refurbished_proba_ : ndarray of shape (n, K)
        Distribution of the true label given the row and its label, rows sum to 1: Eq. (11), with folds the posterior of
        f through T (Eq. 12). float64, but with many rows and classes float32 or float16.
    transition_matrix_, corruption_matrix_ : ndarray of shape (K, K)
        T and T_c: rows = true class, columns = given class, rows sum to 1.
    clean_rate_ : float
        gamma, the share of clean labels, in [0, 1].
    decisions_ : DataFrame
        What was decided for "auto" and at the end of a fit with folds, one row a decision: ``chosen``, ``reason``, and
        where candidates were compared by given labels of unseen rows their figures.
    history_ : DataFrame
        One row per cycle; ``undone`` where the guard, or the end of a round, went back to the state before.
    n_iter_, n_warmup_epochs_ : int
        Cycles run, and epochs of the warm-up.
    main_net_, aux_net_ : skorch NeuralNet
        g and f after training.
    input_offset_, input_scale_ : ndarray of shape (d,) or None
        Centre and scale of columns that would lose digits in float32, such as timestamps.
    encoder_ : TableEncoder or None
        Where X is a DataFrame with categories, texts or dates: how it became numbers.
    input_features_ : DataFrame or None
        Where X is numbers with missing cells: the features made of them (`noisyflywheel.data.encoder.numbers`).
    input_projection_ : ndarray of shape (d, m) or None
        Where X is sparse and wide: what rows are multiplied by, m at most 128.
    input_medians_ : ndarray of shape (d,) or None
        Where no cell was missing in ``fit`` on rows in memory: what stands for NaN in `predict`.
    n_features_in_ : int
        ``X.shape[1]``.
    feature_names_in_ : ndarray of shape (d,)
        Where X is a DataFrame with string column names.

    References
    ----------
    Kim, Chang, Cho, Lee and Han, "Learning with Noisy Labels: Interconnection of Two Expectation-Maximizations", 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from noisyflywheel import FlywheelClassifier
    >>> from noisyflywheel.noise import symmetric
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = FlywheelClassifier(random_state=0).fit(X, symmetric(y, 0.5, random_state=0))  # doctest: +SKIP
    >>> clf.get_label_issues().head()  # doctest: +SKIP
    """

    def __init__(
        self,
        main_net: NeuralNet | None = None,
        aux_net: NeuralNet | None = None,
        *,
        views: Any = "auto",
        n_warmup_epochs: int | str = "auto",
        n_cycles: int | str = "auto",
        n_folds: int | str = "auto",
        cycle_size: int | None = None,
        cr_weight: float = 3.0,
        cr_ramp: int | str = "auto",
        contrastive_weight: float | str = "auto",
        mixup_alpha: float | str = "auto",
        sharpen_temperature: float = 1.0,
        distribution_alignment: float | str = "auto",
        average_epochs: float | str = "auto",
        noise_model: str = "class",
        resample: str = "posterior",
        calibrate: bool | str = "auto",
        guard: bool = True,
        refurbish: bool = True,
        feature_layer: str = "auto",
        warm_start: bool = False,
        checkpoint_dir: Any = None,
        on_cycle: Callable[..., dict[str, float] | None] | None = None,
        device: str = "auto",
        distributed: str | bool = "auto",
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.main_net = main_net
        self.aux_net = aux_net
        self.views = views
        self.n_warmup_epochs = n_warmup_epochs
        self.n_cycles = n_cycles
        self.n_folds = n_folds
        self.cycle_size = cycle_size
        self.cr_weight = cr_weight
        self.cr_ramp = cr_ramp
        self.contrastive_weight = contrastive_weight
        self.mixup_alpha = mixup_alpha
        self.sharpen_temperature = sharpen_temperature
        self.distribution_alignment = distribution_alignment
        self.average_epochs = average_epochs
        self.noise_model = noise_model
        self.resample = resample
        self.calibrate = calibrate
        self.guard = guard
        self.refurbish = refurbish
        self.feature_layer = feature_layer
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.on_cycle = on_cycle
        self.device = device
        self.distributed = distributed
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn may expect: NaN is a missing cell, sparse rows are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        return tags

    def set_params(self, **params: Any) -> FlywheelClassifier:
        """Set parameters, with double underscores also those of nets and views that were handed in.

        Parameters
        ----------
        **params
            Such as ``n_cycles=10``, ``aux_net__lr=0.01`` or ``views__noise=0.5``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a name that is no parameter, or of a net or views that are None or "auto".
        """
        check_nested(self, params)
        super().set_params(**params)
        return self

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> FlywheelClassifier:
        """Learn from noisy labels and judge each of them, also inside ``torch.inference_mode`` and ``torch.no_grad``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n, d), images, Tensor or Dataset
            Rows (n, d): numbers, NaN for a missing cell; in a DataFrame also categories, texts and dates (a fit on such
            a one is kept by pickle, not by `save`); sparse rows of more than 512 columns are projected. Images
            (n, H, W), (n, H, W, C) or (n, C, H, W), uint8 or floating. A torch Tensor of these shapes, or a torch
            ``Dataset`` or skorch ``SliceDataset`` whose items are ``(x, ...)`` or ``x``.
        y : array-like of shape (n,)
            The noisy labels, of any label type. May be None if X is a Dataset of ``(x, label)`` items.
        sample_weight : array-like of shape (n,), optional
            Weights, at least 0, of the rows in the warm-up, both M-steps, gamma, T and T_c. Only their ratios matter,
            except that whole weights that sum to at most 100 count as repetitions of rows. Copies of a row in memory,
            its label included, are one row of their weight together (`noisyflywheel.estimator.inputs.copies`). Rows of
            weight 0 take no part in training: nets that never saw them judge their labels.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For a wrong parameter, net, X or y, before any training.
        DivergenceError
            If a loss becomes NaN or infinite.
        CheckpointError
            If ``checkpoint_dir`` cannot be written, or what it holds of this fit is damaged.
        RanksError
            On several processes, if another one has ended or does not come within five minutes.
        KeyboardInterrupt
            On Ctrl-C. If at least one cycle was done, the estimator is fitted with what it had. After any other
            exception it is as it was before.
        """
        with torch.inference_mode(False), float32_on_cpu(), joined(self.distributed) as ranks:
            fit_flywheel(self, X, y, sample_weight, ranks)
        return self
