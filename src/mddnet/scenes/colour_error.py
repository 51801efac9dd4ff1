"""Longitudinal chromatic aberration of synthetic lenses.

As in an achromat, red and blue focus a little farther than green, so the inverse depth of their plane of focus is
smaller and, by ``signed_defocus_px = kappa (u_focus - u)``, so is their signed defocus, by a constant. Behind the plane
of focus red is the sharper channel, and blurred edges get green fringes; in front of it green is the sharper one, and
they get magenta fringes (Kingslake and Johnson, "Lens Design Fundamentals", 2nd ed. 2010, section 5.5, on the secondary
spectrum). The focal sweeps of the Columbia camera and of two SLR cameras show it as well.
"""

from __future__ import annotations

import numpy as np

LARGEST_SHIFT_PX = 1.5


def draw_colour_shift_px(limit_px: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw the shift of the signed defocus of red, green (zero) and blue: at most ``limit_px`` and 1.5 px."""
    amount = min(LARGEST_SHIFT_PX, limit_px) * float(rng.uniform(0.1, 1.0))
    return -amount * float(rng.uniform(0.4, 1.0)), 0.0, -amount * float(rng.uniform(-0.1, 1.0))
