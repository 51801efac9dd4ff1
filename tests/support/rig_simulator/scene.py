"""Scenes of the simulator: a measured shape with the texture of its photo, on a grid finer than the camera's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]

FINE = 2
"""Samples of the scene per camera pixel and axis."""
MARGIN_PX = 16
"""Margin of the scene around the image in camera pixels, for blur and breathing."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The scene in front of the rig, from the view of the camera.

    Attributes:
        depth_mm: (FINE (H + 2 MARGIN), FINE (W + 2 MARGIN)) z-depth.
        albedo: the same shape, 0..1.
        height: H, rows of the camera.
        width: W, columns of the camera.
    """

    depth_mm: FloatArray
    albedo: FloatArray
    height: int
    width: int

    def pixel_grid(self) -> tuple[FloatArray, FloatArray]:
        """Camera pixel coordinates (x, y) of the samples; (0, 0) is the centre of the first pixel."""
        rows, columns = self.depth_mm.shape
        x = (np.arange(columns) + 0.5) / FINE - 0.5 - MARGIN_PX
        y = (np.arange(rows) + 0.5) / FINE - 0.5 - MARGIN_PX
        return x[None, :], y[:, None]


def resampled(values: FloatArray, height: int, width: int) -> FloatArray:
    """Bilinear enlargement or reduction of a map to (height, width)."""
    y = np.clip((np.arange(height) + 0.5) * values.shape[0] / height - 0.5, 0, values.shape[0] - 1)
    x = np.clip((np.arange(width) + 0.5) * values.shape[1] / width - 0.5, 0, values.shape[1] - 1)
    return bilinear(values, x[None, :], y[:, None])


def bilinear(values: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Values at fractional columns x and rows y, which broadcast against each other; held at the border."""
    x, y = np.clip(x, 0, values.shape[1] - 1), np.clip(y, 0, values.shape[0] - 1)
    x0 = np.minimum(x.astype(np.intp), values.shape[1] - 2)
    y0 = np.minimum(y.astype(np.intp), values.shape[0] - 2)
    tx, ty = (x - x0).astype(values.dtype), (y - y0).astype(values.dtype)
    top = values[y0, x0] * (1 - tx) + values[y0, x0 + 1] * tx
    bottom = values[y0 + 1, x0] * (1 - tx) + values[y0 + 1, x0 + 1] * tx
    return top * (1 - ty) + bottom * ty


def filled(depth: FloatArray) -> FloatArray:
    """Unknown (NaN) positions take the farther of their row's neighbours, as hidden areas belong to the
    background."""
    out = depth.copy()
    known = np.isfinite(out)
    columns = np.arange(out.shape[1])
    left = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    right = np.minimum.accumulate(np.where(known, columns, out.shape[1])[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(out.shape[0])[:, None]
    at_left = np.where(left >= 0, out[rows, np.maximum(left, 0)], -np.inf)
    at_right = np.where(right < out.shape[1], out[rows, np.minimum(right, out.shape[1] - 1)], -np.inf)
    out = np.where(known, out, np.maximum(at_left, at_right))
    return np.where(np.isfinite(out), out, np.nanmax(np.where(np.isfinite(out), out, np.nan)))


def without_stairs(depth: FloatArray, tolerance: float = 0.012, reach: int = 3, rounds: int = 4) -> FloatArray:
    """Smooth the steps that a map's quantisation left in its surfaces; jumps above ``tolerance`` of the depth stay."""
    for _ in range(rounds):
        padded = np.pad(depth, reach, mode="edge")
        total, count = np.zeros_like(depth), np.zeros_like(depth)
        for dy in range(2 * reach + 1):
            for dx in range(2 * reach + 1):
                other = padded[dy : dy + depth.shape[0], dx : dx + depth.shape[1]]
                near = np.abs(other - depth) < tolerance * depth
                total += np.where(near, other, 0)
                count += near
        depth = total / count
    return depth


def texture(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Zero-mean texture at scales of 1 to 8 camera pixels, standard deviation 1."""
    total = np.zeros(shape)
    for scale in (1, 2, 4, 8):
        side = FINE * scale
        small = rng.standard_normal((shape[0] // side + 3, shape[1] // side + 3))
        total += resampled(small, shape[0], shape[1]) * scale**0.25
    return total / total.std()


def measured_scene(
    depth: FloatArray,
    brightness: FloatArray,
    height: int,
    width: int,
    near_mm: float,
    far_mm: float,
    seed: int = 0,
    contrast: float = 0.18,
) -> Scene:
    """A scene from a measured depth map, brought onto a table: its depth range becomes near to far.

    Args:
        depth: (h, w) in any unit of length, NaN where unknown.
        brightness: (h, w) linear light of its photo.
        height: rows of the camera.
        width: columns of the camera.
        near_mm: where its 2 % quantile comes to lie.
        far_mm: where its 98 % quantile comes to lie.
        seed: of the fine texture.
        contrast: standard deviation of the fine texture, as a share of the albedo.
    """
    rows, columns = FINE * (height + 2 * MARGIN_PX), FINE * (width + 2 * MARGIN_PX)
    # cropped to the aspect ratio of the image, so that nothing is stretched
    ratio = min(depth.shape[0] / rows, depth.shape[1] / columns)
    h, w = int(rows * ratio), int(columns * ratio)
    top, left = (depth.shape[0] - h) // 2, (depth.shape[1] - w) // 2
    part = filled(depth[top : top + h, left : left + w].astype(np.float64))
    low, high = np.quantile(part, [0.02, 0.98])
    part = near_mm + (far_mm - near_mm) * np.clip((part - low) / max(high - low, 1e-9), -0.02, 1.02)
    z = _sharp_edged(without_stairs(part), rows, columns)
    light = resampled(brightness[top : top + h, left : left + w].astype(np.float64), rows, columns)
    low, high = np.quantile(light, [0.02, 0.98])
    albedo = 0.25 + 0.45 * np.clip((light - low) / max(high - low, 1e-9), 0, 1)
    rng = np.random.default_rng(seed)
    albedo = np.clip(albedo * (1 + contrast * texture((rows, columns), rng)), 0.08, 0.92)
    return Scene(z.astype(np.float32), albedo.astype(np.float32), height, width)


def _sharp_edged(depth: FloatArray, rows: int, columns: int) -> FloatArray:
    """Enlarged without ramps between foreground and background: there the nearest sample is taken."""
    smooth = resampled(depth, rows, columns)
    y = np.minimum(np.arange(rows) * depth.shape[0] // rows, depth.shape[0] - 1)
    x = np.minimum(np.arange(columns) * depth.shape[1] // columns, depth.shape[1] - 1)
    nearest = depth[y[:, None], x[None, :]]
    return np.where(np.abs(smooth - nearest) < 0.006 * nearest, smooth, nearest)


def made_scene(height: int, width: int, near_mm: float, far_mm: float, seed: int = 0) -> Scene:
    """A synthetic scene: a tilted floor with a ball and two boxes on it."""
    y, x = np.mgrid[0:1:200j, 0:1:240j]
    z = 1.0 - 0.75 * y
    z = np.where(
        np.hypot(x - 0.3, y - 0.45) < 0.17,
        0.35 - 0.8 * np.sqrt(np.clip(0.03 - (x - 0.3) ** 2 - (y - 0.45) ** 2, 0, 1)),
        z,
    )
    z = np.where((np.abs(x - 0.75) < 0.13) & (np.abs(y - 0.4) < 0.18), 0.55 + 0.5 * (x - 0.75), z)
    z = np.where((np.abs(x - 0.6) < 0.08) & (np.abs(y - 0.8) < 0.1), 0.02 + 0.3 * (y - 0.8), z)
    brightness = 0.3 + 0.2 * np.sin(9 * x) * np.cos(7 * y)
    return measured_scene(z, brightness, height, width, near_mm, far_mm, seed)
