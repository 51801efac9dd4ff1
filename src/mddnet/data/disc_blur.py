"""Sharp crops blurred by one disc of known size, with the colour error of a lens.

The CoC is exact and visible in the blur only, and its sign in the colour of the blur only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.scenes.render import LARGEST_COLOUR_SHIFT_PX, LensFlaws, Surface, draw_colour_shift_px, render_surfaces
from mddnet.types import UInt8Array

if TYPE_CHECKING:
    from jaxtyping import UInt8

SMALLEST_COC_PX = 0.7
LARGEST_COC_PX = 36.0


def blurred_by_disc(
    sharp_srgb8: UInt8[UInt8Array, "H W 3"],
    signed_px: float,
    colour_shift_px: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> UInt8[UInt8Array, "H W 3"]:
    """Blur a sharp image like a flat subject out of focus, in linear light, with mirrored edges.

    The colour shift is added to the signed CoC, which is positive behind the plane of focus, of red, green and blue.
    """
    linear = linear_from_srgb8(sharp_srgb8)
    size = linear.shape[0], linear.shape[1]
    flat = Surface(linear, np.zeros(size, dtype=np.float32), np.ones(size, dtype=np.float32))
    # rounded, so that a few thousand kernels are enough for all images
    red, green, blue = (round(shift, 2) for shift in colour_shift_px)
    flaws = LensFlaws(colour_shift_px=(red, green, blue))
    return srgb8_from_linear(render_surfaces([flat], u_focus=round(signed_px, 2), kappa=1.0, flaws=flaws))


def blurred_by_random_disc(
    rng: np.random.Generator, sharp_srgb8: UInt8[UInt8Array, "H W 3"]
) -> tuple[UInt8[UInt8Array, "H W 3"], float]:
    """Blur a whole image by a random disc with a random colour error.

    The error does not depend on the size of the disc: the distance between the planes of focus of red, green and blue
    is constant. Returns the image, and its signed CoC in pixels of the green channel.
    """
    size = float(np.exp(rng.uniform(np.log(SMALLEST_COC_PX), np.log(LARGEST_COC_PX))))
    signed_px = size if rng.random() < 0.5 else -size
    return blurred_by_disc(sharp_srgb8, signed_px, draw_colour_shift_px(LARGEST_COLOUR_SHIFT_PX, rng)), signed_px
