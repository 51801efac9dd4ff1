"""The whole rig: it captures a scene and knows the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .camera import Camera
from .projector import Pattern, Projector, Thrower
from .scene import FINE, MARGIN_PX, FloatArray, Scene

AMBIENT = 0.06
BOUNCE = 0.03


@dataclass(frozen=True, slots=True)
class Settings:
    """How the rig is built and used.

    Attributes:
        focal_mm: focal length F.
        f_number: at maximum aperture.
        small_f_number: at minimum aperture, for the fringes.
        pixel_mm: pixel pitch p.
        offset_mm: e, what the sensor readings lack.
        frames: number of focus positions.
        reading_noise_mm: standard deviation of the error of a sensor reading.
        axis: ``"x"`` for vertical stripes, ``"y"`` for horizontal ones.
        periods: periods across the projector, one number per frequency.
        steps: N phase steps.
        margin: how far the sweep reaches beyond the scene, as a share of its range of inverse depth.
        projector: the projector.
    """

    focal_mm: float = 50.0
    f_number: float = 2.8
    small_f_number: float = 16.0
    pixel_mm: float = 0.0212
    offset_mm: float = 24.0
    frames: int = 24
    reading_noise_mm: float = 0.002
    axis: str = "x"
    periods: tuple[float, ...] = (1, 6, 36)
    steps: int = 16
    margin: float = 0.1
    projector: Projector = field(default_factory=Projector)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the rig cannot know.

    Attributes:
        depth_mm: (H, W) z-depth of what every pixel's middle shows at the reference position.
        rim: (H, W) whether a jump of depth lies within two pixels.
        aperture_px: A, aperture diameter over pixel pitch.
        offset_mm: e.
        sensor_mm: (N,) true sensor distances v + e of the stack.
        reference_mm: true sensor distance of the fringe images.
        focal_mm: F.
    """

    depth_mm: FloatArray
    rim: FloatArray
    aperture_px: float
    offset_mm: float
    sensor_mm: FloatArray
    reference_mm: float
    focal_mm: float

    def signed_defocus_px(self, index: int) -> FloatArray:
        """(H, W) of a frame, pixels of the reference position."""
        u_focus = 1000.0 / self.focal_mm - 1000.0 / float(self.sensor_mm[index])
        return self.aperture_px * self.reference_mm / 1000.0 * (u_focus - 1000.0 / self.depth_mm)


def capture(
    scene: Scene, folder: Path, settings: Settings, seed: int = 0, noise: float = 0.01, **changes: Any
) -> Truth:
    """Photograph a scene into a capture folder.

    Args:
        scene: what stands before the rig.
        folder: made if missing.
        settings: the rig.
        seed: of all noise.
        noise: of the camera at mid grey, standard deviation as a share of full scale.
        changes: fields of ``capture.json`` that replace the true ones.
    """
    rng = np.random.default_rng(seed)
    inner = scene.depth_mm[FINE * MARGIN_PX : -FINE * MARGIN_PX, FINE * MARGIN_PX : -FINE * MARGIN_PX]
    u = np.quantile(1000.0 / inner, [0.01, 0.99])
    reach = settings.margin * (u[1] - u[0])
    ends = [1000.0 / (1000.0 / settings.focal_mm - value) for value in (u[0] - reach, u[1] + reach)]
    sensor = np.linspace(*ends, settings.frames)
    reference = float(sensor.mean())
    camera = Camera(settings.focal_mm, settings.pixel_mm, reference, noise=noise)
    rays = camera.rays(scene)
    points = rays * scene.depth_mm[..., None]
    throw = Thrower(settings.projector, points, rng)
    direct = settings.projector.irradiance(points)

    def radiance(pattern: Pattern | None) -> FloatArray:
        light = scene.albedo * direct * throw.throw(pattern)
        bounced = BOUNCE * _far_blurred(light) * scene.albedo
        return (light + bounced + AMBIENT * scene.albedo).astype(np.float32)

    white = radiance(None)
    exposure = 0.85 / float(np.quantile(white, 0.995))
    for part in ("stack", "fringes"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names = []
    wide = settings.focal_mm / settings.f_number
    for i, v in enumerate(sensor):
        light = camera.light(scene, white, camera.blur(scene, wide, float(v)), wide, float(v))
        names.append(f"stack/{i:03d}.png")
        Image.fromarray(camera.photograph(light, exposure, rng)).save(folder / names[-1], compress_level=1)
    small = settings.focal_mm / settings.small_f_number
    narrow = camera.blur(scene, small, reference)
    fringe_names: list[list[str]] = []
    for number, periods in enumerate(settings.periods):
        fringe_names.append([])
        for step in range(settings.steps):
            thrown = radiance(Pattern(settings.axis, periods, settings.steps, step))
            light = camera.light(scene, thrown, narrow, small, reference)
            name = f"fringes/{number}_{step:02d}.png"
            fringe_names[-1].append(name)
            Image.fromarray(camera.photograph(light, exposure, rng)).save(folder / name, compress_level=1)
    readings = sensor - settings.offset_mm + settings.reading_noise_mm * rng.standard_normal(len(sensor))
    data = _description(folder.name, settings, camera, scene, names, fringe_names, readings, reference)
    (folder / "capture.json").write_text(json.dumps({**data, **changes}, indent=1))
    depth, rim = _pixel_truth(inner)
    return Truth(
        depth,
        rim,
        settings.focal_mm / settings.f_number / settings.pixel_mm,
        settings.offset_mm,
        sensor,
        reference,
        settings.focal_mm,
    )


def _description(
    name: str,
    settings: Settings,
    camera: Camera,
    scene: Scene,
    names: Sequence[str],
    fringe_names: Sequence[Sequence[str]],
    readings: FloatArray,
    reference: float,
) -> dict[str, Any]:
    focal_px = reference / settings.pixel_mm
    projector = settings.projector
    return {
        "kind": "rig",
        "scene": name,
        "place": f"simulated/{name}",
        "source": "simulated",
        "licence": "none",
        "unit": "mm",
        "response": "linear",
        "focal_mm": settings.focal_mm,
        "frames": list(names),
        "sensor": [round(float(v), 4) for v in readings],
        "fringes": {
            "axis": settings.axis,
            "sensor": round(reference - settings.offset_mm, 4),
            "periods": list(settings.periods),
            "frames": [list(row) for row in fringe_names],
        },
        "calibration": {
            "camera": {
                "fx": focal_px,
                "fy": focal_px,
                "cx": (scene.width - 1) / 2,
                "cy": (scene.height - 1) / 2,
                "distortion": [camera.distortion, 0, 0, 0, 0],
            },
            "projector": {
                "width": projector.width,
                "height": projector.height,
                "fx": projector.focal_px,
                "fy": projector.focal_px,
                "cx": (projector.width - 1) / 2,
                "cy": (projector.height - 1) / 2,
                "distortion": [projector.distortion, 0, 0, 0, 0],
            },
            "rotation": projector.rotation.tolist(),
            "translation": projector.translation_mm.tolist(),
        },
    }


def _far_blurred(light: FloatArray) -> FloatArray:
    """Light spread over a wide window, as the rest of the scene returns it."""
    frequency = np.hypot(np.fft.fftfreq(light.shape[0])[:, None], np.fft.rfftfreq(light.shape[1])[None, :])
    return np.fft.irfft2(np.fft.rfft2(light) * np.exp(-2 * (np.pi * 40.0 * frequency) ** 2), s=light.shape)


def _pixel_truth(inner: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Depth at the middle of every camera pixel, and whether a depth edge is near."""
    rows, columns = inner.shape[0] // FINE, inner.shape[1] // FINE
    cells = inner.reshape(rows, FINE, columns, FINE)
    depth = cells.mean(axis=(1, 3))
    low, high = cells.min(axis=(1, 3)), cells.max(axis=(1, 3))
    padded_low, padded_high = np.pad(low, 2, mode="edge"), np.pad(high, 2, mode="edge")
    for dy in range(5):
        for dx in range(5):
            low = np.minimum(low, padded_low[dy : dy + rows, dx : dx + columns])
            high = np.maximum(high, padded_high[dy : dy + rows, dx : dx + columns])
    return depth, high - low > 0.02 * depth
