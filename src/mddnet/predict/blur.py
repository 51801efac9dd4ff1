"""The blur of every cell of a photo, with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mddnet.types import Float32Array

LEAST_ERROR_PX = 1.5
"""Error of any CoC, beside that which the network states: less blur is hard to tell from none, and what it answers for
sharp photos varies with their content."""


@dataclass(frozen=True, slots=True)
class Blur:
    """(h, w) CoC diameters in pixels of the network's image. The network's error is that of their square roots."""

    px: Float32Array
    root_sigma: Float32Array  # error of the square roots

    @property
    def root(self) -> Float32Array:
        """Square roots of the CoCs."""
        return np.asarray(np.sqrt(self.px))

    @property
    def sigma_px(self) -> Float32Array:
        """Errors of the CoCs."""
        sigma = self.root_sigma * (np.float32(2) * self.root + self.root_sigma)
        return np.asarray(np.hypot(sigma, np.float32(LEAST_ERROR_PX)))
