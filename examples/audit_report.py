"""From labels to a cleaned table: fit, look at the report, apply the corrections, count what they mended.

Wrong labels are put into a table of 500 handwritten digits, so that the corrections can be counted. The report is
one HTML page that opens anywhere without a network.

    python examples/audit_report.py
    python examples/audit_report.py report.html
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import apply_corrections, overlapping_classes, write_report
from noisyflywheel.noise import asymmetric

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def main(report: str | None = None) -> None:
    X, y = load_digits(return_X_y=True, as_frame=True)
    table = X[:500].assign(label=y[:500].map(dict(enumerate(NAMES))))
    true = table["label"].copy()
    table["label"] = asymmetric(true, 0.3, mapping={"one": "seven", "three": "eight"}, random_state=0)
    features = table.drop(columns="label")
    print(f"{len(table)} rows, {(table['label'] != true).sum()} of the labels wrong")

    flywheel = FlywheelClassifier(n_cycles=30, random_state=0).fit(features, table["label"])
    issues = flywheel.get_label_issues()
    print(f"{issues['is_label_issue'].sum()} suspects")
    # T: rows = true class, columns = given class
    T = pd.DataFrame(flywheel.transition_matrix_, flywheel.classes_, flywheel.classes_)
    print("how often each label is given to a true one:", T.T["one"].nlargest(3).round(2).to_dict())
    print(overlapping_classes(issues, flywheel.classes_, T).head(3).round(3).to_string(index=False))

    for policy in ("drop", "refurbish"):
        cleaned = apply_corrections(table, issues, policy, label="label", min_confidence=0.5)
        left = (cleaned["label"] != true.loc[cleaned.index]).sum()
        print(f"{policy}: {len(cleaned)} rows, {left} wrong labels left")

    with tempfile.TemporaryDirectory() as folder:
        path = write_report(report or Path(folder) / "report.html", flywheel, features, image_shape=(8, 8))
        print(f"report: {path.name}, {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:2])
