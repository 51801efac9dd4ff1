"""Losses on the predicted maps: depth, defocus, and the lens law that ties them."""
