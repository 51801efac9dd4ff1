"""A model that obeys the lens law by construction, so that the properties of its maps are known."""

from __future__ import annotations

import numpy as np

from mddnet.optics import signed_defocus_px
from mddnet.predict.metric_scale import inv_depth_scale
from mddnet.predict.prediction import Prediction, SmallMaps
from mddnet.types import LensLawFit, Photo, UInt8Array

U_FOCUS, KAPPA_PX = 0.5, 20.0


class LawModel:
    """Inverse depth is the red channel, in focus at 0.5, with 20 px of blur per unit."""

    name, version = "law", "1"

    def predict(self, x: Photo, /, *, refine: bool = False, depth_prior: None = None) -> Prediction:
        red = x.pixels[:, :, 0].astype(np.float32) / np.float32(255)
        signed = signed_defocus_px(red, U_FOCUS, KAPPA_PX).astype(np.float32)
        scale = inv_depth_scale(LensLawFit(True, U_FOCUS, KAPPA_PX, 0.1), x.lens)
        u = (red * np.float32(scale.gain) + np.float32(scale.offset)).astype(np.float32)
        if scale.unit == "1/m":
            u = np.maximum(u, np.float32(0))
        maps = SmallMaps(u, np.abs(signed), np.sign(signed), np.full(u.shape, 0.75, np.float32))
        return Prediction(maps, scale.unit, scale.focus, x, self.name, self.version, x.notes)


def ramp(height: int = 60, width: int = 80) -> UInt8Array:
    """Red rises from left (far) to right (near) over a checkerboard."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width).round()
    pixels[::2, ::2, 1] = 200
    return pixels
