"""Losses on the predicted maps: depth, defocus, and the lens law that relates them."""
