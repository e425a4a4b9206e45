"""Numbers of one unit with heavy tails, such as activations and counts: a signed logarithm draws them in.

A few large numbers otherwise decide what lies near what, and how strong noise has to be to matter.
"""

from __future__ import annotations

from torch import Tensor

HEAVY = 10.0
"""Tails are heavy where the kurtosis of all numbers is above this. Measured: 3.1 to 3.2 on pixels and embeddings of
sentences, 27 on scaled gene counts, 79 on activations of a ReLU network, 410 on word frequencies."""

KNEE = 0.25
"""Where the logarithm bends, in units of the median size: few numbers are smaller, and the kurtosis of the logarithms
is about that of Gaussian numbers (2.9 and 3.3 on two of these sets, 9.9 on word frequencies, most of which are 0)."""


def tail_knee(x: Tensor) -> float:
    """Where the signed logarithm should begin to bend: 0 where tails are not heavy.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Features of one unit.

    Returns
    -------
    float
        `KNEE` of the median size of the numbers that are not 0, if the kurtosis of all numbers, each feature around
        its mean, is above `HEAVY`; else 0.
    """
    square = (x - x.mean(0)).square()
    spread = square.mean()
    if not bool(square.square().mean() > HEAVY * spread.square()):
        return 0.0
    size = x.abs()
    return KNEE * float(size[size > 0].median())


def signed_log(x: Tensor, knee: float | Tensor) -> Tensor:
    """``sign(x) log(1 + |x| / knee)``: linear around 0, a logarithm far from it."""
    return x.sign() * (x.abs() / knee).log1p()


def signed_exp(z: Tensor, knee: float | Tensor) -> Tensor:
    """The inverse of `signed_log`."""
    return z.sign() * z.abs().expm1() * knee
