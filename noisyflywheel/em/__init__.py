"""The equations of the two EM cycles: pure functions on tensors, one home each (Sec. 3 of the paper).

Every function takes and returns tensors on one device and never sees a network. Matrices have rows = true
class and columns = given class. What has a number for each row has the shape (N,): a column (N, 1) beside it is a
ValueError.
"""

from noisyflywheel.em.auxiliary import (
    auxiliary_likelihood,
    marginal_true_class,
    posterior_through,
    refurbish,
    rescaled,
    share_factors,
)
from noisyflywheel.em.calibration import agreement, calibrate, calibrate_with_clean_rate, overconfidence, tempered_given
from noisyflywheel.em.corruption import corruption_matrix, error_probability, transition_matrix
from noisyflywheel.em.flattening import flattening
from noisyflywheel.em.label_posterior import bayes_posterior, mean_posterior
from noisyflywheel.em.likely import likely_transition
from noisyflywheel.em.main import (
    clean_posterior,
    expected_log_likelihood,
    reweighted_cross_entropy,
    update_clean_rate,
)
from noisyflywheel.em.mixture import given_label_likelihood, joint_likelihood, objective
from noisyflywheel.em.sharpness import averaged_posterior

__all__ = [
    "agreement",
    "auxiliary_likelihood",
    "averaged_posterior",
    "bayes_posterior",
    "calibrate",
    "calibrate_with_clean_rate",
    "clean_posterior",
    "corruption_matrix",
    "error_probability",
    "expected_log_likelihood",
    "flattening",
    "given_label_likelihood",
    "joint_likelihood",
    "likely_transition",
    "marginal_true_class",
    "mean_posterior",
    "objective",
    "overconfidence",
    "posterior_through",
    "refurbish",
    "rescaled",
    "reweighted_cross_entropy",
    "share_factors",
    "tempered_given",
    "transition_matrix",
    "update_clean_rate",
]
