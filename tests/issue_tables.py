"""Tables of issues, as audits make them, of four rows."""

import numpy as np
import pandas as pd

from noisyflywheel.audit.rows.matching import with_identity


def issues_of(table, suspected, quality, suggested):
    """Issues of the rows of ``table``, whose labels are in its column ``kind``; both nets suggest the same."""
    found = pd.DataFrame(
        {
            "is_label_issue": suspected,
            "label_quality": quality,
            "given_label": table.kind,
            "predicted_label": suggested,
            "predicted_confidence": 0.9,
            "refurbished_label": suggested,
            "refurbished_confidence": [0.9, 0.8, 0.7, 0.6],
        }
    )
    return with_identity(found, table, "kind", np.arange(4))
