"""Prediction: a photo goes in; depth, defocus and the lens law that ties them together come out."""
