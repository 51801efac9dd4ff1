"""What every number stands beside: answers that need no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics import OrdinalPairs, average_precision, f_beta, gaussian_smoothed, smoothed_laplacian
from mddnet.types import BoolArray, Float32Array

SHARPNESS_SCALES = (0.005, 0.01, 0.02, 0.04)
"""Smoothings of the sharpness baseline, as sigma over the image's long side; the best of them stands for it."""


def row_inv_depth(height: int, width: int) -> Float32Array:
    """The row baseline: lower in the picture is nearer, (H, W), from 0 in the top row to 1 in the bottom row."""
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None], (height, width)))


def negative_sharpness(photo: NDArray[np.generic], *scales: float) -> list[Float32Array]:
    """Defocus as the lack of sharpness: minus the smoothed Laplacian of the photo itself, for its order only.

    Args:
        photo: (H, W, 3) or (H, W).
        scales: sigma of the smoothing over the long side.

    Returns:
        An (H, W) map per scale.
    """
    sharpness = smoothed_laplacian(photo, 0.0)
    return [-gaussian_smoothed(sharpness, scale * max(sharpness.shape)) for scale in scales]


def defocus_baselines(
    photo: NDArray[np.generic], pairs: OrdinalPairs, blurred: BoolArray, drawn: NDArray[np.int64]
) -> dict[str, float]:
    """What a defocus map stands beside: :func:`negative_sharpness` at each of :data:`SHARPNESS_SCALES`, and constants.

    Args:
        photo: (H, W, 3) or (H, W), the focused frame.
        pairs: pixels whose CoCs differ clearly.
        blurred: (N,) bool, where blur is, at the drawn pixels.
        drawn: (N,) flat indices.

    Returns:
        ``defocus_ordinal_sharpness_SCALE`` and ``blur_ap_sharpness_SCALE``; ``blur_share``, which is the average
        precision of a constant; ``blur_f_everywhere``, F of "all is blurred"; ``blur_mae_constant``, the error rate of
        the better of "all is blurred" and "nothing is".
    """
    share = float(blurred.mean()) if len(blurred) else float("nan")
    measures = {
        "blur_share": share,
        "blur_f_everywhere": f_beta(np.ones_like(blurred), blurred),
        "blur_mae_constant": min(share, 1 - share),
    }
    for scale, dull in zip(SHARPNESS_SCALES, negative_sharpness(photo, *SHARPNESS_SCALES), strict=True):
        measures[f"defocus_ordinal_sharpness_{scale}"] = pairs.accuracy(dull)
        measures[f"blur_ap_sharpness_{scale}"] = average_precision(dull.ravel()[drawn], blurred)
    return measures
