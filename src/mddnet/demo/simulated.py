"""A simulated photo of balls on a table, focused anywhere: an example with known depth. Needs OpenCV and SciPy."""

from __future__ import annotations

import io
import math
from functools import cache

import cv2
import numpy as np
from PIL import Image

from mddnet.color import srgb8_from_linear
from mddnet.optics import focus_z_from_sensor_plane_m, lens_kappa_px
from mddnet.scenes.render import Surface, render_surfaces
from mddnet.scenes.synthetic_depth import smooth_noise
from mddnet.types import Float32Array, Lens

WIDTH, HEIGHT = 720, 480
LENS = Lens(focal_mm=50.0, f_number=2.8, pixel_um=50.0)  # full frame, its 36 mm on 720 px
FOCUS_M = (0.48, 0.6, 0.8, 1.15, 2.0, 4.0)  # of the frames of the example stack, from the sensor
PHOTO_FOCUS_M = 0.85  # of the example photo
IMAGE_DISTANCE_PX = 1040.0
TABLE_BELOW_M, HORIZON_PX, TABLE_END = 0.15, 96.0, 0.45  # the table ends at that inverse depth, 1/m
WALL = 0.3  # inverse depth, 1/m
Ball = tuple[float, float, float, tuple[float, float, float]]
"""x in metres, inverse depth of the centre in 1/m, radius in metres, colour of linear light."""
BALLS: tuple[Ball, ...] = (
    (-0.085, 2.0, 0.035, (0.75, 0.10, 0.06)),
    (0.02, 1.25, 0.05, (0.85, 0.50, 0.05)),
    (0.25, 0.95, 0.06, (0.06, 0.35, 0.55)),
    (-0.28, 0.75, 0.07, (0.10, 0.45, 0.12)),
    (0.24, 0.56, 0.08, (0.45, 0.12, 0.40)),
)
# f-number, focal length, width and height in pixels, pixels per centimetre of the sensor
TAGS = {0x829D: 2.8, 0x920A: 50.0, 0xA002: WIDTH, 0xA003: HEIGHT, 0xA20E: 200.0, 0xA210: 3}
TAG_DISTANCE = 0x9206


@cache
def simulated_jpeg(focus_m: float, lamps: int = 45) -> bytes:
    """The scene focused at a distance from the sensor, as a JPEG file with the lens in its EXIF data.

    Lamps become discs of light where they are out of focus, which misleads a focal stack.
    """
    z_m = focus_z_from_sensor_plane_m(focus_m, LENS.focal_mm or math.nan)
    light = render_surfaces(_surfaces(lamps), 1 / z_m, lens_kappa_px(LENS, z_m), fine_px=12.0)
    noise = np.random.default_rng(round(1000 * focus_m)).normal(0, 0.0008, light.shape)
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({**TAGS, TAG_DISTANCE: focus_m})
    stream = io.BytesIO()
    picture = Image.fromarray(srgb8_from_linear(light + noise.astype(np.float32)))
    picture.save(stream, "JPEG", quality=95, subsampling=0, exif=exif)
    return stream.getvalue()


@cache
def _surfaces(lamps: int) -> tuple[Surface, ...]:
    """Balls, nearest first, the table, and a wall with lamps."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    x -= WIDTH / 2
    y -= HORIZON_PX
    grain = smooth_noise((HEIGHT, WIDTH), 400, rng)
    balls = [_ball(x, y, grain, ball) for ball in BALLS]
    return (*balls, _table(x, y, grain, rng), _wall(x, y, grain, lamps, rng))


def _ball(x: Float32Array, y: Float32Array, grain: Float32Array, ball: Ball) -> Surface:
    x_m, u, radius_m, colour = ball
    scale = IMAGE_DISTANCE_PX * u  # pixels per metre
    right, down = (x - x_m * scale) / scale, (y - (TABLE_BELOW_M - radius_m) * scale) / scale  # from the centre, metres
    distance = np.hypot(right, down) / radius_m
    towards = np.sqrt(np.maximum(1 - distance**2, 0))
    light = 0.12 + 0.8 * np.clip(-0.45 * right / radius_m - 0.65 * down / radius_m + 0.6 * towards, 0, None)
    stripes = np.sin(down / radius_m * 9 + 3 * right / radius_m) > 0.2
    shade = light * (0.3 + 1.4 * grain) * np.where(stripes, 1.0, 0.45)
    glint = 0.8 * np.exp(-((right / radius_m + 0.35) ** 2 + (down / radius_m + 0.5) ** 2) * 60)
    linear = shade[..., None] * np.array(colour) + glint[..., None]
    coverage = np.clip((1 - distance) * radius_m * scale + 0.5, 0, 1)
    return Surface(linear.astype(np.float32), _f(1 / (1 / u - radius_m * towards)), _f(coverage))


def _table(x: Float32Array, y: Float32Array, grain: Float32Array, rng: np.random.Generator) -> Surface:
    """Planks in perspective, with shadows of the balls."""
    u = np.maximum(y, 1) / np.float32(TABLE_BELOW_M * IMAGE_DISTANCE_PX)
    right_m, z_m = x / (IMAGE_DISTANCE_PX * u), 1 / u
    plank = np.floor(right_m / 0.07).astype(int)
    tone = rng.uniform(0.55, 1.0, 400)[plank % 400] * np.where(np.abs(right_m / 0.07 - plank - 0.5) > 0.48, 0.3, 1.0)
    fibre = cv2.resize(
        rng.uniform(0.3, 1.0, (200, 1500)).astype(np.float32), (3000, 3000), interpolation=cv2.INTER_LINEAR
    )
    wood = cv2.remap(
        fibre, _f(right_m * 700 + 1500), _f(z_m * 900 % 3000), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    shade = tone * wood * (0.4 + 1.2 * grain)
    for x_m, ball_u, radius_m, _ in BALLS:
        away = np.hypot(right_m - x_m - 0.3 * radius_m, (z_m - 1 / ball_u) * 0.8) / radius_m
        shade = shade * (1 - 0.75 * np.exp(-(away**2) * 1.2))
    linear = shade[..., None] * np.array([0.50, 0.30, 0.16])
    return Surface(_f(linear), _f(u), _f(u > TABLE_END))


def _wall(x: Float32Array, y: Float32Array, grain: Float32Array, lamps: int, rng: np.random.Generator) -> Surface:
    linear = ((0.015 + 0.05 * smooth_noise(x.shape, 12, rng)) * (0.2 + 1.6 * grain))[..., None] * np.array(
        [0.5, 0.7, 1.2]
    )
    for _ in range(lamps):
        at = (
            round(rng.uniform(0, WIDTH)),
            round(rng.uniform(0, HORIZON_PX + TABLE_END * TABLE_BELOW_M * IMAGE_DISTANCE_PX)),
        )
        colour = np.array([1.0, rng.uniform(0.35, 0.8), rng.uniform(0.05, 0.4)]) * rng.uniform(15, 50)
        cv2.circle(linear, at, 2, colour.tolist(), -1, cv2.LINE_8)
    return Surface(_f(linear), np.full(x.shape, WALL, np.float32), np.ones(x.shape, np.float32))


def _f(values: object) -> Float32Array:
    return np.asarray(values, dtype=np.float32)
