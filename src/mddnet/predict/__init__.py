"""Prediction of depth, defocus and lens law from one photo."""
