"""Evidence for the sign of the defocus, pixel by pixel, as log-odds of being behind the plane of focus.

The network reads the sign off colour fringes, occlusion and the scene. With a known lens, a size of the blur means one
distance behind the plane of focus and another in front of it: there is none farther than infinity, and of the rest some
are rarer than others. The scene's depth says on which side of the plane of focus a pixel lies.
"""

from __future__ import annotations

import math

import numpy as np

from mddnet.predict.blur import Blur
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.dioptres import MetricLaw
from mddnet.types import Float32Array

CALIBRATED_ODDS = 0.5
"""Factor that calibrates the network's log-odds: on training locations, log-odds of 2 to 3 are right in 79 of 100
pixels of focal stacks, those of 4 to 6 in 91."""
MAX_LOG_ODDS = 4.0  # limit of the log-odds by each kind of evidence: odds of 55 to 1
SURE_LOG_ODDS = 16.0  # largest reduction of the log-odds for a CoC that is impossible behind the plane of focus
VISIBLE_PX = 4.0  # the network's log-odds count in proportion to the CoC below this: little blur hardly shows its sign
USUAL_DEPTH_M, DEPTH_SPREAD, DEPTH_TAIL = 1.0, 0.8, 3.0
"""Prior over distances: Student's t of the logarithm, its middle, scale and degrees of freedom."""
SPREAD_IN_SCENE = 0.5  # scale of the logarithm of the distances of one scene about its median
PRIOR_WEIGHT = 0.25
"""Weight of the log-odds by the prior over distances: those of the cells of a scene are much the same. Scenes wholly on
one side are better with more of it, close-ups with less."""
LEAST_INV_DEPTH = 0.003  # farther than 1/0.003 m is all the same to the prior


def network_log_odds(sign_logit: Float32Array, coc_px: Float32Array) -> Float32Array:
    """The network's log-odds, calibrated, and reduced where the blur is small."""
    odds = np.clip(np.float32(CALIBRATED_ODDS) * sign_logit, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    return np.asarray(odds * np.minimum(coc_px / np.float32(VISIBLE_PX), 1))


def lens_log_odds(blur: Blur, law: MetricLaw | None, camera: CameraEstimate | None = None) -> Float32Array:
    """Log-odds by the lens for (h, w) CoCs, with the law in 1/m, in pixels of the network's image; 0 without a law.

    A CoC above that of infinity, kappa u_focus, cannot be behind the plane of focus: the log-odds fall by the square of
    the excess over the error. Otherwise the probability densities of inverse depth at u_focus -+ c / kappa decide,
    as far as the CoC is larger than its error. The middle of the prior over distances is the median depth by the scene.
    """
    if law is None:
        return np.zeros_like(blur.px)
    excess = np.maximum(blur.root - math.sqrt(law.infinity_px), 0) / blur.root_sigma
    away = blur.px / np.float32(law.kappa_px)
    middle_m, spread = USUAL_DEPTH_M, DEPTH_SPREAD
    if camera is not None:
        spread = math.hypot(SPREAD_IN_SCENE, camera.median_depth_error)
        middle_m = camera.median_depth_m
    behind, in_front = (_log_density(law.u_focus + side * away, middle_m, spread) for side in (-1, 1))
    prior = behind - in_front
    seen = np.square(blur.px) / (np.square(blur.px) + np.square(blur.sigma_px))
    odds = PRIOR_WEIGHT * seen * np.clip(prior, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    return np.asarray(odds - np.minimum(excess * excess, SURE_LOG_ODDS), dtype=np.float32)


def _log_density(inv_depth: Float32Array, middle_m: float, spread: float) -> Float32Array:
    """Logarithm of the prior density of inverse depth in 1/m, without its constant."""
    u = np.maximum(inv_depth, np.float32(LEAST_INV_DEPTH))
    logarithm = np.log(u)
    from_usual = (logarithm + np.float32(math.log(middle_m))) / np.float32(spread)
    return np.asarray(-0.5 * (DEPTH_TAIL + 1) * np.log1p(from_usual * from_usual / DEPTH_TAIL) - logarithm)


def scene_log_odds(
    scene_u: Float32Array, scene_sigma: Float32Array, u_focus: float, away: Float32Array, away_sigma: Float32Array
) -> Float32Array:
    """Log-odds by the scene's inverse depth, within +-4: that of two normal distributions at u_focus -+ away.

    ``away``, (h, w), is the distance from the plane of focus by the blur, c / kappa, in the unit of the scene's; sigmas
    are the errors.
    """
    variance = scene_sigma * scene_sigma + away_sigma * away_sigma
    odds = np.float32(2) * (np.float32(u_focus) - scene_u) * away / variance
    return np.asarray(np.clip(odds, -MAX_LOG_ODDS, MAX_LOG_ODDS))
