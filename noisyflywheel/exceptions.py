"""Errors and warnings that are this library's own."""

from __future__ import annotations


class DivergenceError(FloatingPointError):
    """A loss became NaN or infinite; the fit stopped, nothing was fitted."""


class FlywheelWarning(UserWarning):
    """The loop turns against itself, or its result should be looked at before it is used."""
