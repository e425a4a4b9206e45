"""Audit of labels: scores by cross-validation, tables, corrections and a report."""

from noisyflywheel.audit.corrections import apply_corrections
from noisyflywheel.audit.cross_val import CrossValAudit, cross_val_audit, cross_val_label_issues
from noisyflywheel.audit.folder import image_manifest
from noisyflywheel.audit.report import write_report
from noisyflywheel.estimator.issues import class_summary, label_issues_frame, overlapping_classes

__all__ = [
    "CrossValAudit",
    "apply_corrections",
    "class_summary",
    "cross_val_audit",
    "cross_val_label_issues",
    "image_manifest",
    "label_issues_frame",
    "overlapping_classes",
    "write_report",
]
