"""Calibration of the verdicts and of the expected errors of a model."""
