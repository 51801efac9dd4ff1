"""What hints at the errors of one prediction: numbers for the whole photo, and maps of its cells.

The calibration of a model weighs them (:mod:`mddnet.predict.calibration`): cues of the photo for its verdict, cues of
the cells for the expected errors. They come from the network's answers, the fusion, and a second pass at half the size,
which sees the same scene in other pixels. Inverse depth is standardised: less its median, over its mean absolute
deviation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mddnet.predict.fusion import Fusion, FusionInput, standardised
from mddnet.predict.resampling import upsampled
from mddnet.predict.texture import box_mean
from mddnet.types import Float32Array

PHOTO_CUES = {
    "half_size_order": "share of pairs of cells whose order of depth is the same in a pass at half the size",
    "log_gain": "log(1 + gain) of the plane of focus over one CoC for the whole photo",
    "log_steepness": "logarithm of the mean gradient of the scene's inverse depth",
    "depth_log_sigma": "mean of the network's log error of depth",
    "depth_log_sigma_high": "its 90th percentile",
    "blur_log_sigma_high": "90th percentile of the network's log error of the CoC",
    "network_sign_entropy": "mean entropy of the network's sign, bits",
    "sign_entropy": "the same after the fusion, weighted by the CoC up to 8 px",
    "log_blur": "logarithm of the median CoC plus half a pixel",
    "law_misfit": "mean difference of the CoC and the lens law, over 1 px plus the mean CoC",
    "log_fused_sigma": "logarithm of the median error of the fused inverse depth",
}
"""Cues of a photo, each a number."""
CELL_CUES = {
    "depth_log_sigma": "the network's log error of depth",
    "blur_log_sigma": "the network's log error of the CoC",
    "log_fused_sigma": "logarithm of the error of the fused inverse depth",
    "log_blur": "logarithm of the CoC plus half a pixel",
    "log_roughness": "logarithm of the deviation of the fused inverse depth within four cells",
    "log_shift": "logarithm of the difference of the fused inverse depth from that by the scene",
    "log_misfit": "logarithm of the difference of the CoC and the lens law",
    "log_half_size": "logarithm of the difference of depth from a pass at half the size, mean over four cells",
    "from_middle": "absolute fused inverse depth, standardised",
    "from_middle_squared": "its square, at most 16",
    "photo": "the score of the verdict on the depth of the photo",
}
"""Cues of the cells, each a map."""
SIGN_WEIGHT_PX = 8.0
PAIRS, PAIR_GAP = 4000, 0.1
"""Compared pairs of cells; they differ by more than this share of the 2-98 % range of inverse depth."""
WINDOW = 9  # width of the windows, cells


def photo_cues(answers: FusionInput, fused: Fusion, half_depth: Float32Array) -> dict[str, float]:
    """The cues of a photo, :data:`PHOTO_CUES`; ``half_depth`` is the network's depth of it at half the size."""
    depth, plane, coc_px = fused.evidence.depth, fused.evidence.plane, answers.coc_px
    weight = np.minimum(coc_px, np.float32(SIGN_WEIGHT_PX))
    entropy = sign_entropy(fused.cells.log_odds)
    misfit = np.abs(np.abs(plane.defocus_px(depth)) - coc_px).mean()
    down, right = np.gradient(depth)
    return {
        "half_size_order": same_order(depth, upsampled(half_depth, depth.shape)),
        "log_gain": float(np.log1p(max(plane.gain, 0.0))),
        "log_steepness": float(np.log(np.hypot(down, right).mean() + 1e-3)),
        "depth_log_sigma": float(answers.depth_log_sigma.mean()),
        "depth_log_sigma_high": float(np.percentile(answers.depth_log_sigma, 90)),
        "blur_log_sigma_high": float(np.percentile(answers.coc_log_sigma, 90)),
        "network_sign_entropy": float(sign_entropy(answers.sign_logit).mean()),
        "sign_entropy": float((entropy * weight).sum() / max(float(weight.sum()), 1e-6)),
        "log_blur": float(np.log(np.median(coc_px) + 0.5)),
        "law_misfit": float(misfit / (1.0 + coc_px.mean())),
        "log_fused_sigma": float(np.log(np.median(fused.cells.sigma) + 1e-6)),
    }


def cell_cues(
    answers: FusionInput, fused: Fusion, half_depth: Float32Array, photo_score: float
) -> Mapping[str, Float32Array]:
    """The cues of the cells, :data:`CELL_CUES`, (h, w) each; the arguments are those of :func:`photo_cues`."""
    cells, plane, depth = fused.cells, fused.evidence.plane, fused.evidence.depth
    middle = float(np.median(cells.u))
    away = np.abs(cells.u - np.float32(middle))
    span = np.float32(max(float(away.mean()), 1e-6))
    away = away / span
    misfit = np.abs(np.abs(plane.defocus_px(depth)) - answers.coc_px)
    other_depth = standardised(upsampled(half_depth, depth.shape))[0]
    u = (cells.u / span).astype(np.float64)
    variance = box_mean(u * u, WINDOW) - np.square(box_mean(u, WINDOW))
    maps = {
        "depth_log_sigma": answers.depth_log_sigma,
        "blur_log_sigma": answers.coc_log_sigma,
        "log_fused_sigma": np.log(cells.sigma / span),
        "log_blur": np.log(answers.coc_px + np.float32(0.5)),
        "log_roughness": np.log(np.sqrt(np.maximum(variance, 0)) + 0.02),
        "log_shift": np.log(np.abs(cells.u - cells.scene_u) / span + 0.02),
        "log_misfit": np.log(misfit + 0.2),
        "log_half_size": np.log(box_mean(np.abs(other_depth - depth).astype(np.float64), WINDOW) + 0.02),
        "from_middle": away,
        "from_middle_squared": np.minimum(away * away, 16),
        "photo": np.full(depth.shape, photo_score),
    }
    return {name: np.asarray(values, dtype=np.float32) for name, values in maps.items()}


def sign_entropy(log_odds: Float32Array) -> Float32Array:
    """Entropy of the sign in bits, in [0, 1]."""
    p = 1.0 / (1.0 + np.exp(np.minimum(np.abs(log_odds), 30)))  # of the less probable sign
    return np.asarray(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)), dtype=np.float32)


def same_order(depth: Float32Array, other: Float32Array) -> float:
    """Share of random pairs of cells of clearly different depth that another map orders alike; 0.5 without any."""
    low, high = np.percentile(depth, (2, 98))
    first, second = np.random.default_rng(0).integers(0, depth.size, (2, PAIRS))
    steps = depth.ravel()[first] - depth.ravel()[second]
    clear = np.abs(steps) > PAIR_GAP * (high - low)
    if not clear.any():
        return 0.5
    others = other.ravel()[first] - other.ravel()[second]
    return float((np.sign(steps) == np.sign(others))[clear].mean())
