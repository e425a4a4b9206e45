"""EM of the auxiliary network: what the true labels are (Eqs. 10-12, Sec. 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.em.main import PROB_MIN, at_least_single, check_rows, columns_of


def marginal_true_class(q: Tensor, p_clean: Tensor, p_corrupted: Tensor) -> Tensor:
    """Distribution of the true class, summed over the two cases of the label.

    Eq. (10), Sec. 3.3: ``sum_s p(s|x, y~) p(y|x, y~, s)``.

    Parameters
    ----------
    q : Tensor of shape (N,)
        ``p(s_i = 1 | x_i, y~_i)``, in [0, 1].
    p_clean, p_corrupted : Tensor of shape (N, K)
        ``p(y | x, y~, s = 1)`` and ``p(y | x, y~, s = 0)``; rows sum to 1.

    Returns
    -------
    Tensor of shape (N, K)
        Rows sum to 1.
    """
    check_rows(p_clean[:, 0], q)
    return q[:, None] * p_clean + (1 - q)[:, None] * p_corrupted


def refurbish(q: Tensor, given: Tensor, f_prob: Tensor) -> Tensor:
    """Refurbished label distribution: the given label where it is clean, f's guess where it is not.

    Eq. (11), Sec. 3.3: ``q_i(y) = q_i 1[y = y~_i] + (1 - q_i) f(x_i)[y]``.

    Parameters
    ----------
    q : Tensor of shape (N,)
        Clean probabilities, in [0, 1].
    given : Tensor of shape (N,), int64
        Given labels.
    f_prob : Tensor of shape (N, K)
        Prediction of f; rows sum to 1.

    Returns
    -------
    Tensor of shape (N, K)
        Rows sum to 1.
    """
    corrupted = (1 - q)[:, None] * f_prob
    return corrupted.scatter_add(1, given[:, None], q[:, None].to(corrupted.dtype))


def posterior_through(f_prob: Tensor, transition: Tensor, given: Tensor) -> Tensor:
    """Posterior of the true class given the label, by Bayes' rule with f as the prior and T as the likelihood.

    ``f(x_i)[y] T[y, y~_i] / sum_k f(x_i)[k] T[k, y~_i]``, the posterior that belongs to the likelihood of Eq. (12),
    Sec. 3.3. Unlike Eq. (11) it knows which class is often labelled as which. Where T and f rule the given label out,
    it is f's prediction.

    Parameters
    ----------
    f_prob : Tensor of shape (N, K)
        Prediction of f; rows sum to 1.
    transition : Tensor of shape (K, K)
        T, rows = true class, columns = given class.
    given : Tensor of shape (N,), int64
        Given labels.

    Returns
    -------
    Tensor of shape (N, K)
        Rows sum to 1; of the type of ``f_prob``, at least float32.
    """
    f_prob = at_least_single(f_prob)
    joint = f_prob * columns_of(transition.to(f_prob.dtype), given)  # (N, K)
    evidence = joint.sum(1, keepdim=True)
    return torch.where(evidence > 0, joint / evidence.masked_fill(evidence == 0, 1), f_prob)


def share_factors(mass: Tensor, counts: Tensor) -> Tensor:
    """Factors, one a class, that scale predictions to the class shares of the given labels (see `rescaled`).

    Distribution alignment (Berthelot et al., "ReMixMatch", ICLR 2020). Where about every second label of a class is
    wrong, f may predict for all its rows the class that they are labelled as; the class's share among the predictions
    then falls far below its share among the given labels. One row is added to each class on both sides.

    Parameters
    ----------
    mass : Tensor of shape (K,)
        Sum of f's predictions of the rows.
    counts : Tensor of shape (K,)
        Rows given each label.

    Returns
    -------
    Tensor of shape (K,), above 0
        Of the type of ``mass``, at least float32.
    """
    mass = at_least_single(mass)
    return (counts.to(mass.dtype) + 1) / (mass + 1)


def rescaled(prob: Tensor, factors: Tensor) -> Tensor:
    """Predictions times a factor for each class, renormalised.

    Parameters
    ----------
    prob : Tensor of shape (N, K)
        Rows sum to 1.
    factors : Tensor of shape (K,)
        Above 0, such as those of `share_factors`.

    Returns
    -------
    Tensor of shape (N, K)
        Rows sum to 1; of the type of ``prob``, at least float32.
    """
    prob = at_least_single(prob)
    scaled = prob * factors.to(prob.dtype)
    return scaled / scaled.sum(1, keepdim=True)


def auxiliary_likelihood(q_y: Tensor, f_prob: Tensor, transition: Tensor, given: Tensor) -> Tensor:
    """Objective of the auxiliary M-step.

    Eq. (12), Sec. 3.3, with the chain rule: ``mean_i sum_y q_i(y) (log f(x_i)[y] + log T[y, y~_i])``.

    Parameters
    ----------
    q_y : Tensor of shape (N, K)
        Refurbished label distribution, Eq. (11).
    f_prob : Tensor of shape (N, K)
        Prediction of f.
    transition : Tensor of shape (K, K)
        T, rows = true class, columns = given class.
    given : Tensor of shape (N,), int64
        Given labels.

    Returns
    -------
    scalar Tensor, at most 0
    """
    f_prob, transition = at_least_single(f_prob), at_least_single(transition)
    label_term = columns_of(torch.log(transition.clamp_min(PROB_MIN)), given)  # (N, K)
    return (q_y * (torch.log(f_prob.clamp_min(PROB_MIN)) + label_term)).sum(1).mean()
