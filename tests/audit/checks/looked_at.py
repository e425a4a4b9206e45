"""A table of noise, and a look at it before any training."""

import numpy as np
import pandas as pd

from noisyflywheel.audit.checks.preflight import preflight
from noisyflywheel.data.encoder.columns import plan_columns


def look(table, **more):
    return preflight(table, "kind", plan_columns(table, leave_out=["kind"]), **more)


def kinds(found):
    return {f.kind: f for f in found}


def noise(n=60):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"x": rng.normal(size=n), "c": rng.choice(list("pqr"), n), "kind": rng.choice(["ham", "spam"], n)}
    )
