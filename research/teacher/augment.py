"""Photographic augmentation: lens blur, noise, JPEG, tone and colour, on sRGB pictures in [0, 1].

Every step is a function of the picture and a random generator; the truth never changes but by crop and mirror.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
LAYERS = 7
"""Depth layers of the rendered lens blur."""


@dataclass(frozen=True)
class Chances:
    """How often each step is taken; sharp photos stay the majority."""

    lens_blur: float = 0.25
    soft_focus: float = 0.15
    noise: float = 0.5
    jpeg: float = 0.5
    tone: float = 0.8
    colour: float = 0.8
    grey: float = 0.05


def to_linear(picture: Picture) -> Picture:
    return np.power(np.clip(picture, 0, 1), np.float32(2.2))


def to_srgb(linear: Picture) -> Picture:
    return np.power(np.clip(linear, 0, 1), np.float32(1 / 2.2))


def disc(diameter_px: float) -> Picture:
    """A disc of that diameter with an antialiased rim, its sum 1."""
    radius = max(diameter_px / 2, 0.5)
    reach = int(np.ceil(radius + 0.5))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def lens_blur(picture: Picture, inv_depth: Picture, focus: float, strength_px: float) -> Picture:
    """Blur by a lens focused at an inverse depth, CoC = strength * |u - focus|, layers composed from far to near.

    Args:
        picture: (H, W, 3) sRGB.
        inv_depth: (H, W) without NaN, its range about 1.
        focus: inverse depth in focus.
        strength_px: CoC in pixels at an inverse depth one away from the focus.
    """
    linear = to_linear(picture)
    edges = np.quantile(inv_depth, np.linspace(0, 1, LAYERS + 1))
    colour = np.zeros_like(linear)
    covered = np.zeros(inv_depth.shape, dtype=np.float32)
    layer_of = np.clip(np.searchsorted(edges, inv_depth, side="right") - 1, 0, LAYERS - 1)
    for layer in range(LAYERS):
        inside = (layer_of == layer).astype(np.float32)
        if not inside.any():
            continue
        coc = strength_px * abs(float(np.median(inv_depth[inside > 0])) - focus)
        light, alpha = linear * inside[..., None], inside
        if coc > 1:
            kernel = disc(coc)
            light = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT)
            alpha = cv2.filter2D(alpha, -1, kernel, borderType=cv2.BORDER_REFLECT)
        colour = colour * (1 - alpha[..., None]) + light
        covered = covered * (1 - alpha) + alpha
    return to_srgb((colour / np.maximum(covered, 1e-3)[..., None]).astype(np.float32))


def random_lens_blur(picture: Picture, inv_depth: Picture, rng: np.random.Generator) -> Picture:
    """Lens blur of random strength, focused on a random pixel; unknown depth is filled with the median."""
    known = np.isfinite(inv_depth)
    if known.mean() < 0.5:
        return picture
    low, middle, high = np.quantile(inv_depth[known], (0.02, 0.5, 0.98))
    filled = np.where(known, inv_depth, middle)
    relative = np.clip((filled - low) / max(high - low, 1e-9), 0, 1).astype(np.float32)
    focus = float(relative.flat[rng.integers(relative.size)])
    strength = float(np.exp(rng.uniform(np.log(0.008), np.log(0.05)))) * max(picture.shape)
    return lens_blur(picture, relative, focus, strength)


def noise(picture: Picture, rng: np.random.Generator) -> Picture:
    """Shot and read noise, with a random share of it in large grains as denoised photos have."""
    sigma = float(np.exp(rng.uniform(np.log(0.004), np.log(0.05))))
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    if rng.random() < 0.3:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.8) * np.float32(2)
    return picture + sigma * grain * np.sqrt(0.2 + 0.8 * np.clip(picture, 0, 1))


def jpeg(picture: Picture, rng: np.random.Generator) -> Picture:
    """JPEG of quality 35 to 95."""
    coded = cv2.imencode(".jpg", to_bytes(picture), [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)).astype(np.float32) / np.float32(255)


def to_bytes(picture: Picture) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def tone(picture: Picture, rng: np.random.Generator) -> Picture:
    """Exposure, contrast about the middle, gamma."""
    linear = to_linear(picture) * np.float32(np.exp2(rng.uniform(-1, 0.7)))
    bright = to_srgb(linear) ** np.float32(np.exp(rng.uniform(-0.25, 0.25)))
    middle = float(bright.mean())
    return middle + (bright - middle) * np.float32(rng.uniform(0.7, 1.3))


def colour(picture: Picture, rng: np.random.Generator) -> Picture:
    """White balance and saturation."""
    balanced = picture * np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    grey = balanced.mean(2, keepdims=True)
    return grey + (balanced - grey) * np.float32(rng.uniform(0.4, 1.4))


def grey(picture: Picture, rng: np.random.Generator) -> Picture:
    return np.repeat(picture.mean(2, keepdims=True), 3, axis=2)


def soft_focus(picture: Picture, rng: np.random.Generator) -> Picture:
    """A slight blur of the whole picture, as of a weak lens or an enlarged photo."""
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.5)))


def photographic(
    picture: Picture, inv_depth: Picture, rng: np.random.Generator, chances: Chances | None = None
) -> Picture:
    """A photo of the same scene by another camera: each step by its chance, in the order of a camera."""
    chances = chances or Chances()
    if rng.random() < chances.lens_blur:
        picture = random_lens_blur(picture, inv_depth, rng)
    steps: list[tuple[float, Callable[[Picture, np.random.Generator], Picture]]] = [
        (chances.soft_focus, soft_focus),
        (chances.tone, tone),
        (chances.colour, colour),
        (chances.grey, grey),
        (chances.noise, noise),
        (chances.jpeg, jpeg),
    ]
    for chance, step in steps:
        if rng.random() < chance:
            picture = np.clip(step(picture, rng), 0, 1).astype(np.float32)
    return picture
