"""Expected errors of every cell, and the confidence that follows from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mddnet.predict.calibration import Calibration
from mddnet.predict.cues import cell_cues
from mddnet.predict.fusion import Fusion, FusionInput
from mddnet.predict.out_of_distribution import unlike_training
from mddnet.predict.prediction import SmallMaps
from mddnet.predict.resampling import upsampled
from mddnet.types import Float32Array

HALF_CONFIDENCE = 0.1
"""Expected error of inverse depth, as a share of its range in the photo, with a confidence of one half."""
MOST_LOG_ERROR = 10.0


def with_expected_errors(
    calibration: Calibration, answers: FusionInput, fused: Fusion, half_depth: Float32Array, photo_score: float
) -> SmallMaps:
    """The maps with their expected errors, and the confidence by these.

    The expected error of inverse depth is a share of the 2-98 % range of the map, after the scale and shift that are
    unknown; here it is times that range.

    Args:
        calibration: of the model.
        answers: what was fused.
        fused: the result.
        half_depth: the network's depth of the same photo at half the size.
        photo_score: the score of the verdict on depth.
    """
    cues = cell_cues(answers, fused, half_depth, photo_score)
    share, px = (
        np.exp(np.minimum(linear.of_cells(cues), np.float32(MOST_LOG_ERROR)))
        for linear in (calibration.inv_depth_error, calibration.defocus_error)
    )
    maps = fused.maps
    low, high = np.percentile(maps.inv_depth, (2, 98))
    confidence = upsampled(confidence_of(share), maps.inv_depth.shape)
    if unlike_training(answers.not_upsampled):  # nothing is calibrated for such photos
        confidence = np.minimum(confidence, maps.confidence)
    return replace(
        maps,
        confidence=confidence,
        expected_inv_depth_error=share * np.float32(high - low),
        expected_defocus_error_px=px * np.float32(answers.scale),
    )


def confidence_of(share: Float32Array) -> Float32Array:
    """1 / (1 + error / 0.1), in (0, 1], from the expected error of inverse depth as a share of its range."""
    return np.asarray(1.0 / (1.0 + share / np.float32(HALF_CONFIDENCE)), dtype=np.float32)
