"""The camera of the simulator: a thin lens with a sensor that moves behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scene import FINE, MARGIN_PX, FloatArray, Scene, bilinear


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of the rig.

    Attributes:
        focal_mm: focal length F.
        pixel_mm: pixel pitch p.
        reference_mm: sensor distance v' at which the pictures of the scene grid were defined.
        distortion: radial k1 of the lens.
        aberration_px: sigma of the blur of the lens in focus, pixels.
        vignetting: loss of light at the corner, at maximum aperture.
        noise: standard deviation at mid grey, as a share of full scale.
    """

    focal_mm: float
    pixel_mm: float
    reference_mm: float
    distortion: float = -0.08
    aberration_px: float = 0.35
    vignetting: float = 0.08
    noise: float = 0.01

    def rays(self, scene: Scene) -> FloatArray:
        """(rows, columns, 3) directions (x, y, 1) of the scene's samples, without the distortion of the lens."""
        x, y = scene.pixel_grid()
        focal_px = self.reference_mm / self.pixel_mm
        xd = (x - (scene.width - 1) / 2) / focal_px + 0 * y
        yd = (y - (scene.height - 1) / 2) / focal_px + 0 * x
        xu, yu = xd, yd
        for _ in range(20):
            stretch = 1 + self.distortion * (xu**2 + yu**2)
            xu, yu = xd / stretch, yd / stretch
        return np.stack([xu, yu, np.ones_like(xu)], axis=-1)

    def u_focus(self, sensor_mm: float) -> float:
        """1/m of the plane in focus."""
        return 1000.0 / self.focal_mm - 1000.0 / sensor_mm

    def blur_px(self, scene: Scene, aperture_mm: float, sensor_mm: float) -> FloatArray:
        """Signed diameter of the blur of every sample, pixels of the reference position, positive behind the focus."""
        kappa = aperture_mm / self.pixel_mm * self.reference_mm / 1000.0
        return kappa * (self.u_focus(sensor_mm) - 1000.0 / scene.depth_mm)

    def blur(self, scene: Scene, aperture_mm: float, sensor_mm: float) -> LensBlur:
        """What the lens does to the light of the scene."""
        return LensBlur(FINE * self.blur_px(scene, aperture_mm, sensor_mm), FINE * self.aberration_px)

    def light(
        self, scene: Scene, radiance: FloatArray, blur: LensBlur, aperture_mm: float, sensor_mm: float
    ) -> FloatArray:
        """(H, W) light on the sensor, before noise."""
        blurred = blur.of(radiance)
        zoom = sensor_mm / self.reference_mm
        cx, cy = (scene.width - 1) / 2, (scene.height - 1) / 2
        total = np.zeros((scene.height, scene.width))
        for sy in (np.arange(FINE) + 0.5) / FINE - 0.5:
            for sx in (np.arange(FINE) + 0.5) / FINE - 0.5:
                x = (np.arange(scene.width) + sx - cx) / zoom + cx
                y = (np.arange(scene.height) + sy - cy) / zoom + cy
                column, row = ((t + MARGIN_PX + 0.5) * FINE - 0.5 for t in (x, y))
                total += bilinear(blurred, column[None, :], row[:, None])
        x, y = np.meshgrid(np.linspace(-1, 1, scene.width), np.linspace(-1, 1, scene.height))
        wide_open = min(1.0, aperture_mm / (self.focal_mm / 4))
        falloff = 1 - self.vignetting * wide_open * (x**2 + y**2) / 2
        return total / FINE**2 * falloff / zoom**2

    def photograph(self, light: FloatArray, exposure: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """8 bits of it, linear, with noise that grows with the light."""
        value = light * exposure
        sigma = self.noise * np.sqrt(0.3 + 0.7 * np.clip(value, 0, 2) / 0.5)
        noisy = value + sigma * rng.standard_normal(value.shape)
        return np.rint(255 * np.clip(noisy, 0, 1)).astype(np.uint8)


def _jinc_table() -> tuple[FloatArray, FloatArray]:
    """2 J1(x) / x, the spectrum of a disc, from Bessel's integral."""
    x = np.linspace(0, 400, 4001)
    angle = (np.arange(500) + 0.5) * np.pi / 500
    j1 = np.array([np.cos(angle - value * np.sin(angle)).mean() for value in x])
    return x, np.where(x > 1e-6, 2 * j1 / np.maximum(x, 1e-6), 1.0)


_JINC: list[tuple[FloatArray, FloatArray]] = []


def disc_spectrum(diameter: float, frequency: FloatArray) -> FloatArray:
    """Spectrum of a uniform disc of that diameter at spatial frequencies in cycles per sample."""
    if not _JINC:
        _JINC.append(_jinc_table())
    return np.interp(np.pi * diameter * frequency, *_JINC[0])


def _nodes(low: float, high: float) -> FloatArray:
    """Diameters of the layers: a step of 1 sample, of 6 % where the blur is large."""
    nodes = [low]
    while nodes[-1] < high:
        nodes.append(nodes[-1] + max(1.0, 0.06 * abs(nodes[-1])))
    return np.array(nodes)


class LensBlur:
    """Layers of equal blur, from near to far; farther layers are visible where nearer ones leave room.

    Made once for a scene, an aperture and a sensor distance, and used for every light that is thrown on it.
    """

    def __init__(self, diameter: FloatArray, aberration: float) -> None:
        self.shape = diameter.shape
        frequency = np.hypot(np.fft.fftfreq(self.shape[0])[:, None], np.fft.rfftfreq(self.shape[1])[None, :])
        soft = np.exp(-2 * (np.pi * aberration * frequency) ** 2)
        nodes = _nodes(float(diameter.min()), float(diameter.max()) + 1e-6)
        position = np.interp(diameter, nodes, np.arange(len(nodes)))
        covered = np.zeros(self.shape, np.float32)
        self.layers: list[tuple[FloatArray, FloatArray, FloatArray]] = []
        for k, node in enumerate(nodes):
            weight = np.clip(1 - np.abs(position - k), 0, None).astype(np.float32)
            if not weight.any():
                continue
            spectrum = (disc_spectrum(abs(float(node)), frequency) * soft).astype(np.float32)
            alpha = np.clip(np.fft.irfft2(np.fft.rfft2(weight) * spectrum, s=self.shape), 0, 1)
            room = np.minimum(alpha, 1 - covered)
            covered += room
            self.layers.append((weight, spectrum, room / np.maximum(alpha, 1e-4)))
        self.covered = np.maximum(covered, 1e-3)

    def of(self, radiance: FloatArray) -> FloatArray:
        """The blurred image."""
        colour = np.zeros(self.shape, np.float32)
        for weight, spectrum, share in self.layers:
            colour += np.fft.irfft2(np.fft.rfft2(weight * radiance) * spectrum, s=self.shape) * share
        return colour / self.covered
