"""A model that obeys the lens law by construction, so that what is said of its maps is known."""

from __future__ import annotations

import numpy as np

from mddnet.optics import signed_defocus_px
from mddnet.predict.dioptres import finite_depth_m, inv_depth_scale
from mddnet.predict.prediction import Prediction
from mddnet.types import LensLawFit, Photo, UInt8Array

U_FOCUS, KAPPA_PX = 0.5, 20.0


class LawModel:
    """Inverse depth is the red channel, in focus at 0.5, with 20 px of blur per unit."""

    def predict_compact(self, x: Photo, /) -> Prediction:
        return self.predict(x)

    def predict(self, x: Photo, /) -> Prediction:
        red = x.pixels[:, :, 0].astype(np.float32) / np.float32(255)
        signed = signed_defocus_px(red, U_FOCUS, KAPPA_PX).astype(np.float32)
        scale = inv_depth_scale(LensLawFit(True, U_FOCUS, KAPPA_PX, 0.1), x.lens)
        u = (red * np.float32(scale.gain) + np.float32(scale.offset)).astype(np.float32)
        if scale.unit == "1/m":
            u = np.maximum(u, np.float32(0))
        return Prediction(
            inv_depth=u,
            unit=scale.unit,
            depth_m=finite_depth_m(u) if scale.unit == "1/m" else None,
            defocus_px=np.abs(signed),
            signed_defocus_px=signed,
            focus=scale.focus,
            confidence=np.full(u.shape, 0.75, np.float32),
            photo=x,
            model="law",
            model_version="1",
            notes=x.notes,
        )


def ramp(height: int = 60, width: int = 80) -> UInt8Array:
    """Red rises from left (far) to right (near) over a checkerboard."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width).round()
    pixels[::2, ::2, 1] = 200
    return pixels
