"""Shared fits, and then fits that fail, as one of the ranks: ``python all_fits.py FOLDER CASE ...``."""

import sys

import failing_fits
import shared_fits

shared_fits.main(*sys.argv[1:])
failing_fits.main(sys.argv[1])
