"""Sharp crops blurred whole by one disc of known size, with the colour error of a lens.

Here the CoC is exact and nothing but the blur tells it; and nothing but the colour of the blur tells its side. The
error is that of an achromat: red and blue focus a little farther than green, so the signed defocus of red is smaller by
a constant (Kingslake and Johnson, "Lens Design Fundamentals", 2nd ed. 2010, section 5.5), the one that the focal sweeps
of the Columbia camera show as well.
"""

from __future__ import annotations

import cv2
import numpy as np

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.sets.render import disc_kernel
from mddnet.types import UInt8Array

SMALLEST_COC_PX = 0.7
LARGEST_COC_PX = 26.0
LARGEST_COLOUR_SHIFT_PX = 1.2


def blurred_by_random_disc(rng: np.random.Generator, sharp_srgb8: UInt8Array) -> tuple[UInt8Array, float]:
    """Blur a whole image by a random disc, in linear light, edges mirrored.

    Args:
        rng: source of randomness.
        sharp_srgb8: (H, W, 3) uint8.

    Returns:
        The blurred image and its signed CoC in pixels (of the green channel), positive behind the plane of focus.
    """
    size = float(np.exp(rng.uniform(np.log(SMALLEST_COC_PX), np.log(LARGEST_COC_PX))))
    signed_px = size if rng.random() < 0.5 else -size
    amount = min(LARGEST_COLOUR_SHIFT_PX, 0.25 * size + 0.1) * float(rng.uniform(0.1, 1.0))
    shifts = amount * float(rng.uniform(0.4, 1.0)), 0.0, amount * float(rng.uniform(-0.1, 1.0))
    linear = linear_from_srgb8(sharp_srgb8)
    blurred = np.empty_like(linear)
    for channel, shift in enumerate(shifts):
        # to two digits: a few thousand kernels serve all images
        kernel = disc_kernel(round(abs(signed_px - shift), 2))
        blurred[..., channel] = cv2.filter2D(linear[..., channel], -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return srgb8_from_linear(blurred), signed_px
