"""The projector of the simulator: what light it throws on every point of the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scene import FloatArray, bilinear

OVERSAMPLING = 4
BLUR_LEVELS_PX = np.linspace(0.0, 8.0, 9)


@dataclass(frozen=True, slots=True)
class Projector:
    """A projector next to the camera, rotated towards the middle of the scene.

    Attributes:
        width: columns.
        height: rows.
        focal_px: focal length in projector pixels.
        baseline_mm: distance from the camera along its x axis.
        toe_in_rad: turn about the y axis, towards the camera's axis.
        distortion: radial k1 of its lens.
        gamma: light = code ** gamma.
        sharp_at_mm: distance of its own plane of focus.
        blur_px_per_dioptre: diameter of its blur, projector pixels per 1/m.
        flicker: standard deviation of the brightness from image to image.
        column_noise: standard deviation of the brightness from column to column.
    """

    width: int = 912
    height: int = 1140
    focal_px: float = 1900.0
    baseline_mm: float = 225.0
    toe_in_rad: float = 0.24
    distortion: float = 0.03
    gamma: float = 2.2
    sharp_at_mm: float = 900.0
    blur_px_per_dioptre: float = 8.0
    flicker: float = 0.003
    column_noise: float = 0.01

    @property
    def rotation(self) -> FloatArray:
        """R of X_projector = R X_camera + t."""
        c, s = np.cos(self.toe_in_rad), np.sin(self.toe_in_rad)
        return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])

    @property
    def translation_mm(self) -> FloatArray:
        """t of X_projector = R X_camera + t."""
        return -self.rotation @ np.array([self.baseline_mm, 0.0, 0.0])

    def seen_at(self, points_mm: FloatArray) -> FloatArray:
        """(..., 2) projector pixel coordinates of camera-frame points (..., 3)."""
        there = points_mm @ self.rotation.T + self.translation_mm
        xy = there[..., :2] / there[..., 2:]
        xy = xy * (1 + self.distortion * (xy**2).sum(axis=-1, keepdims=True))
        return xy * self.focal_px + np.array([(self.width - 1) / 2, (self.height - 1) / 2])

    def irradiance(self, points_mm: FloatArray) -> FloatArray:
        """Light on a white patch at every point of a grid (rows, columns, 3), shading and shadows included; near 1."""
        along = np.gradient(points_mm, axis=1)
        down = np.gradient(points_mm, axis=0)
        normal = np.cross(down, along)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        to_light = np.array([self.baseline_mm, 0.0, 0.0]) - points_mm
        distance = np.linalg.norm(to_light, axis=-1)
        cosine = np.clip((normal * to_light).sum(axis=-1) / distance, 0, None)
        # at the rims of things the slope of the height field is not that of a surface
        z = points_mm[..., 2]
        rim = np.maximum(np.abs(np.gradient(z, axis=0)), np.abs(np.gradient(z, axis=1))) > 0.01 * z
        cosine = np.where(rim, 0.6, cosine)
        return cosine * (np.median(distance) / distance) ** 2 * ~self._shadowed(points_mm, distance)

    def _shadowed(self, points_mm: FloatArray, distance: FloatArray) -> FloatArray:
        at = self.seen_at(points_mm) / 3.0  # a shadow map of cells of 3 x 3 projector pixels
        column, row = (np.rint(at[..., k]).astype(np.intp) for k in (0, 1))
        size = (self.height // 3 + 3, self.width // 3 + 3)
        inside = (row >= 1) & (row < size[0] - 1) & (column >= 1) & (column < size[1] - 1)
        row, column = np.where(inside, row, 1), np.where(inside, column, 1)
        nearest = np.full(size, np.inf)
        np.minimum.at(nearest, (row[inside], column[inside]), distance[inside])
        return ~inside | (distance > 1.012 * nearest[row, column])


@dataclass(frozen=True, slots=True)
class Pattern:
    """Fringes along one axis.

    Attributes:
        axis: ``"x"`` (vertical stripes) or ``"y"``.
        periods: number of periods across the projector.
        steps: N phase steps.
        step: 0..N-1.
    """

    axis: str
    periods: float
    steps: int
    step: int


class Thrower:
    """A projector throwing patterns on fixed points."""

    def __init__(self, projector: Projector, points_mm: FloatArray, rng: np.random.Generator) -> None:
        self.projector, self.rng = projector, rng
        self.at = projector.seen_at(points_mm)
        depth = (points_mm @ projector.rotation.T + projector.translation_mm)[..., 2]
        blur = projector.blur_px_per_dioptre * np.abs(1000.0 / depth - 1000.0 / projector.sharp_at_mm)
        self.level = np.clip(blur / (BLUR_LEVELS_PX[1] - BLUR_LEVELS_PX[0]), 0, len(BLUR_LEVELS_PX) - 1)
        self.columns = {
            axis: 1 + projector.column_noise * rng.standard_normal(n)
            for axis, n in (("x", projector.width), ("y", projector.height))
        }

    def throw(self, pattern: Pattern | None) -> FloatArray:
        """Light in 0..1 at every point; None is full white."""
        gain = 1 + self.projector.flicker * self.rng.standard_normal()
        if pattern is None:
            return np.full(self.level.shape, gain)
        count = self.projector.width if pattern.axis == "x" else self.projector.height
        phase = 2 * np.pi * (pattern.periods * (np.arange(count) + 0.5) / count - pattern.step / pattern.steps)
        codes = np.rint(255 * (0.5 + 0.48 * np.cos(phase))) / 255
        light = np.repeat(codes**self.projector.gamma * self.columns[pattern.axis], OVERSAMPLING)
        table = np.stack([_blurred(light, d * OVERSAMPLING) for d in BLUR_LEVELS_PX])
        position = (self.at[..., 0 if pattern.axis == "x" else 1] + 0.5) * OVERSAMPLING - 0.5
        return gain * bilinear(table, position, self.level)


def _blurred(line: FloatArray, diameter: float) -> FloatArray:
    """A line of stripes under disc blur: the disc's marginal is a half ellipse."""
    half = int(np.ceil(diameter / 2)) + 1
    offsets = (np.arange((2 * half + 1) * 8) + 0.5) / 8 - half - 0.5
    fine = np.sqrt(np.clip((max(diameter, 0.5) / 2) ** 2 - offsets**2, 0, None))
    kernel = fine.reshape(-1, 8).sum(axis=1)
    return np.convolve(np.pad(line, half, mode="edge"), kernel / kernel.sum(), mode="valid")
