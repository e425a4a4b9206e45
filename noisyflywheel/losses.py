"""The losses of both M-steps (`noisyflywheel.em.losses`) under their public name."""

from noisyflywheel.em.losses import (
    confidence_regularizer,
    contrastive_loss,
    limited_weight,
    main_loss,
    soft_target_cross_entropy,
)

__all__ = ["confidence_regularizer", "contrastive_loss", "limited_weight", "main_loss", "soft_target_cross_entropy"]
