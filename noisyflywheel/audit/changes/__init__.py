"""Decisions of people, and what changes with them."""
