"""Audit of labels: scores, tables, corrections and a report."""
