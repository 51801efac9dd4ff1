"""Size and side of the circle of confusion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.known import known_values
from mddnet.optics import dmenet_encoding_from_diameter
from mddnet.types import BoolArray


def coc_mae_px(pred_px: NDArray[np.floating], defocus_px: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Mean absolute error of the CoC diameter, in pixels."""
    p, t = known_values(pred_px, defocus_px, mask)
    return float(np.mean(np.abs(p - t))) if len(p) else float("nan")


def coc_mse_px2(
    pred_px: NDArray[np.floating], defocus_px: NDArray[np.floating], mask: BoolArray | None = None
) -> float:
    """Mean squared error of the CoC diameter, in square pixels."""
    p, t = known_values(pred_px, defocus_px, mask)
    return float(np.mean((p - t) ** 2)) if len(p) else float("nan")


def normalised_sigma_mae(
    pred_px: NDArray[np.floating], defocus_px: NDArray[np.floating], mask: BoolArray | None = None
) -> float:
    """Mean absolute error of sigma / 3.275, both sides clipped at 1, with sigma = CoC / 4.

    The protocol of DMENet (Lee et al., "Deep Defocus Map Estimation using Domain Adaptation", CVPR 2019) on SYNDOF and
    RTF. Everything beyond a CoC of 13.1 px counts as 13.1 px, so the number depends on the size of the images.
    """
    p, t = known_values(pred_px, defocus_px, mask)
    if not len(p):
        return float("nan")
    return float(np.mean(np.abs(dmenet_encoding_from_diameter(p) - dmenet_encoding_from_diameter(t))))


def normalised_sigma_mse(
    pred_px: NDArray[np.floating], defocus_px: NDArray[np.floating], mask: BoolArray | None = None
) -> float:
    """Mean squared error of sigma / 3.275, both sides clipped at 1: see :func:`normalised_sigma_mae`."""
    p, t = known_values(pred_px, defocus_px, mask)
    if not len(p):
        return float("nan")
    return float(np.mean((dmenet_encoding_from_diameter(p) - dmenet_encoding_from_diameter(t)) ** 2))


def constant_mae_px(defocus_px: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Mean absolute error of the best constant for this image, its median: the bar that knowing nothing local sets."""
    _, t = known_values(defocus_px, defocus_px, mask)
    return float(np.mean(np.abs(t - np.median(t)))) if len(t) else float("nan")


def sign_accuracy(
    pred_signed_px: NDArray[np.floating],
    signed_px: NDArray[np.floating],
    mask: BoolArray | None = None,
    *,
    min_defocus_px: float = 0.0,
) -> float:
    """Share of pixels with |CoC| above ``min_defocus_px`` whose sign (behind +, in front -) is right; 0 counts half.

    Args:
        pred_signed_px: (H, W) predicted signed CoC.
        signed_px: (H, W) true signed CoC, NaN where unknown.
        mask: (H, W) bool, or None.
        min_defocus_px: smallest true |CoC|, exclusive, pixels.
    """
    p, t = known_values(pred_signed_px, signed_px, mask)
    clear = np.abs(t) > min_defocus_px
    if not clear.any():
        return float("nan")
    agreement = np.sign(p[clear]) * np.sign(t[clear])
    return float(np.mean(np.where(agreement == 0, 0.5, agreement > 0)))
