"""Audit of labels: of tables and pictures, scores by cross-validation, decisions, corrections and a report."""

from noisyflywheel.audit.changes.cleanlab_table import from_cleanlab, to_cleanlab
from noisyflywheel.audit.changes.corrections import apply_corrections
from noisyflywheel.audit.changes.labelling_tools import from_argilla, from_label_studio, to_argilla, to_label_studio
from noisyflywheel.audit.checks.preflight import Finding, preflight
from noisyflywheel.audit.files.folder import image_manifest
from noisyflywheel.audit.report.notebook import ReviewDisplay, review
from noisyflywheel.audit.report.page import write_report
from noisyflywheel.audit.rows.matching import read_issues
from noisyflywheel.audit.scores.cross_val import CrossValAudit, cross_val_audit, cross_val_label_issues
from noisyflywheel.audit.scores.estimates import WrongLabels, estimate_wrong_labels
from noisyflywheel.audit.scores.probabilities import audit_probabilities
from noisyflywheel.audit.scores.relearn import RelearntAudit, relearn
from noisyflywheel.audit.scores.table import TableAudit, audit_table
from noisyflywheel.data.encoder.encode import TableEncoder
from noisyflywheel.estimator.fitted.class_tables import class_summary, overlapping_classes
from noisyflywheel.estimator.fitted.issues import label_issues_frame

__all__ = [
    "CrossValAudit",
    "Finding",
    "RelearntAudit",
    "ReviewDisplay",
    "TableAudit",
    "TableEncoder",
    "WrongLabels",
    "apply_corrections",
    "audit_probabilities",
    "audit_table",
    "class_summary",
    "cross_val_audit",
    "cross_val_label_issues",
    "estimate_wrong_labels",
    "from_argilla",
    "from_cleanlab",
    "from_label_studio",
    "image_manifest",
    "label_issues_frame",
    "overlapping_classes",
    "preflight",
    "read_issues",
    "relearn",
    "review",
    "to_argilla",
    "to_cleanlab",
    "to_label_studio",
    "write_report",
]
