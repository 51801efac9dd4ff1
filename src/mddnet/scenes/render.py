"""Rendering of defocus from a sharp image and a depth map: occlusion-aware layers, disc blur in linear light.

A scene is a list of surfaces, nearest first. A surface is an image with depth and coverage, and may include areas that
are hidden by nearer surfaces. Each surface is divided into layers by its signed defocus, each layer is blurred with the
PSF of its CoC, and the layers are composited from near to far by *saturating* addition:

    w_k = min(a_k, 1 - sum of the previous w),    colour = sum(w_k C_k) / sum(w_k)

where a_k is the blurred coverage and C_k the blurred colour of layer k. The coverages of neighbouring layers of a
slanted surface add up to one. Saturating addition keeps that sum, whereas the "over" operator would let a quarter of
the background through at every seam. Blurring layers separately follows Kraus and Strengert, "Depth-of-Field Rendering
by Pyramidal Image Processing" (Eurographics 2007).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.optimize import brentq

from mddnet.color import srgb8_from_linear
from mddnet.types import Float32Array, UInt8Array

MAX_COC_PX = 128.0  # largest CoC that is rendered; larger kernels are slow, and training does not need them
MAX_LAYERS = 16
LARGEST_COLOUR_SHIFT_PX = 1.5
_LAYER_STEP = 0.25
_LAYER_KNEE_PX = 1.5
_KERNEL_SUBSAMPLES = 4
_IDENTITY_BELOW_PX = 0.15
_FULL = 1.0 - 1e-4


@dataclass(frozen=True, slots=True)
class Aperture:
    """Shape of the aperture, and so of the out-of-focus image of a point."""

    blades: int = 0  # number of straight aperture blades, or 0 for a disc
    rotation_rad: float = 0.0  # rotation of the polygon
    cat_eye: float = 0.0  # shift of the vignetting rim, in aperture radii in [0, 1); 0 for none
    cat_eye_angle_rad: float = 0.0  # direction of that shift
    centred: bool = False  # whether the cat's eye is centred on the point, so that it displaces nothing

    def __post_init__(self) -> None:
        if self.blades != 0 and self.blades < 4:
            raise ValueError(f"Aperture.blades is {self.blades}; expected 0 (a disc) or at least 4")
        if not 0.0 <= self.cat_eye < 1.0:
            raise ValueError(f"Aperture.cat_eye is {self.cat_eye}; expected a value in [0, 1)")


DISC = Aperture()


@dataclass(frozen=True, slots=True)
class Surface:
    """An image without occlusions in itself, in front of all later surfaces."""

    linear: Float32Array  # (H, W, 3) linear light, >= 0
    inv_depth: Float32Array  # (H, W) inverse depth, finite where coverage > 0
    coverage: Float32Array  # (H, W) in [0, 1], share of each pixel that the surface covers


@dataclass(frozen=True, slots=True)
class Camera:
    """Noise and compression of the camera."""

    shot: float = 0.0  # variance of the shot noise per unit of linear light (white = 1), >= 0
    read: float = 0.0  # standard deviation of the read noise in linear light, >= 0
    jpeg_quality: int | None = None  # 1..95, or None for no compression
    chroma_halved: bool = False  # whether JPEG stores colour at half resolution (4:2:0) instead of full (4:4:4)


@dataclass(frozen=True, slots=True)
class LensFlaws:
    """Deviations from an ideal lens."""

    aperture: Aperture = field(default_factory=Aperture)  # shape of the blur
    colour_shift_px: tuple[float, float, float] = (0.0, 0.0, 0.0)  # added to the signed defocus of R, G, B


def draw_colour_shift_px(limit_px: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw the longitudinal chromatic aberration of a lens: shifts of R, G (0) and B, at most ``limit_px`` and 1.5 px.

    As in an achromat, red and blue focus a little farther than green, so the inverse depth of their plane of focus is
    smaller and, by the lens law, so is their signed defocus, by a constant. Behind the plane of focus red is the
    sharper channel, and blurred edges get green fringes; in front of it green is, and they get magenta fringes
    (Kingslake and Johnson, "Lens Design Fundamentals", 2nd ed. 2010, section 5.5, on the secondary spectrum). The focal
    sweeps of the Columbia camera and of two SLR cameras show it as well.
    """
    amount = min(LARGEST_COLOUR_SHIFT_PX, limit_px) * float(rng.uniform(0.1, 1.0))
    return -amount * float(rng.uniform(0.4, 1.0)), 0.0, -amount * float(rng.uniform(-0.1, 1.0))


def _coverage_kernel(radius_px: float, aperture: Aperture) -> NDArray[np.float64]:
    """Share of each pixel that an aperture of that radius covers, on the smallest odd square that contains it."""
    half = max(0, int(np.ceil(radius_px - 0.5)))
    n = _KERNEL_SUBSAMPLES
    grid = (np.arange((2 * half + 1) * n) + 0.5) / n - half - 0.5
    x, y = grid[None, :], grid[:, None]
    shift = aperture.cat_eye * radius_px
    dx, dy = shift * np.cos(aperture.cat_eye_angle_rad), shift * np.sin(aperture.cat_eye_angle_rad)
    if aperture.centred:
        x, y = x + dx / 2, y + dy / 2
    if aperture.blades:
        angles = aperture.rotation_rad + 2 * np.pi * np.arange(aperture.blades) / aperture.blades
        edges = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y
        distance = edges.max(axis=0) - radius_px * np.cos(np.pi / aperture.blades)
    else:
        distance = np.hypot(x, y) - radius_px
    if aperture.cat_eye:
        distance = np.maximum(distance, np.hypot(x - dx, y - dy) - radius_px)
    # The edge is a ramp of one subsample, so that the kernel changes smoothly with the radius.
    inside = np.clip(0.5 - distance * n, 0.0, 1.0)
    size = 2 * half + 1
    kernel = inside.reshape(size, n, size, n).mean(axis=(1, 3))
    total = kernel.sum()
    if total <= 0:
        kernel[half, half] = total = 1.0
    return np.asarray(kernel / total)


def _variance_per_axis(kernel: NDArray[np.float64]) -> float:
    """Mean of the variances of a normalised kernel along its two axes, about its centroid."""
    offsets = np.arange(kernel.shape[0], dtype=np.float64)
    total = 0.0
    for marginal in (kernel.sum(axis=0), kernel.sum(axis=1)):
        mean = float(marginal @ offsets)
        total += float(marginal @ (offsets - mean) ** 2)
    return total / 2.0


def psf_kernel(diameter_px: float, aperture: Aperture = DISC) -> Float32Array:
    """Point spread function with the variance per axis of a disc of that diameter, c^2 / 16, for any shape of aperture.

    (K, K) float32 with K odd and sum 1, for 0 <= c <= 128 px. The radius is found numerically, because the pixel grid
    adds variance to small discs.
    """
    if not 0.0 <= diameter_px <= MAX_COC_PX:
        raise ValueError(f"CoC diameter {diameter_px} px; expected 0 to {MAX_COC_PX:g} px")
    return _psf_kernel(float(diameter_px), aperture).copy()


@lru_cache(maxsize=512)
def _psf_kernel(diameter_px: float, aperture: Aperture) -> Float32Array:
    if diameter_px < _IDENTITY_BELOW_PX:
        return np.ones((1, 1), dtype=np.float32)
    target = diameter_px * diameter_px / 16.0

    def excess(radius_px: float) -> float:
        return _variance_per_axis(_coverage_kernel(radius_px, aperture)) - target

    high = 0.75 * diameter_px + 1.0
    while excess(high) < 0:
        high *= 1.3
    # The variance grows monotonically, almost quadratically, with the radius.
    radius_px = brentq(excess, 0.25, high, xtol=3e-4 * diameter_px)
    return _coverage_kernel(radius_px, aperture).astype(np.float32)


def layer_defocus_px(low_px: float, high_px: float) -> NDArray[np.float64]:
    """Signed defocus of at most ``MAX_LAYERS`` layers: both ends, zero if inside, denser near focus; ascending."""
    if not high_px >= low_px:
        raise ValueError(f"range {low_px} .. {high_px} px; expected an ascending range")
    if high_px - low_px < 0.02:
        return np.array([0.5 * (low_px + high_px)])

    def warp(c: float) -> float:
        return float(np.sign(c) * np.log1p(abs(c) / _LAYER_KNEE_PX))

    def between(a: float, b: float, count: int) -> NDArray[np.float64]:
        t = np.linspace(warp(a), warp(b), count + 1)
        values = np.sign(t) * _LAYER_KNEE_PX * np.expm1(np.abs(t))
        values[0], values[-1] = a, b
        return np.asarray(values)

    span = warp(high_px) - warp(low_px)
    steps = min(MAX_LAYERS - 2, max(1, int(np.ceil(span / _LAYER_STEP))))
    if low_px >= 0 or high_px <= 0:
        return between(low_px, high_px, steps)
    front = min(max(1, round(steps * -warp(low_px) / span)), MAX_LAYERS - 2)
    back = max(1, steps - front)
    return np.concatenate([between(low_px, 0.0, front), between(0.0, high_px, back)[1:]])


class _Canvas:
    """Accumulated colour and coverage of layers from near to far."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.colour = np.zeros((height, width, channels), dtype=np.float32)
        self.coverage = np.zeros((height, width), dtype=np.float32)

    def add_behind(
        self, premultiplied: Float32Array, weight: Float32Array, coc_px: float, aperture: Aperture, fine_px: float
    ) -> None:
        """Blur one layer and composite it behind all earlier ones by saturating addition."""
        step = max(1, int(coc_px / fine_px))
        kernel = _psf_kernel(coc_px / step, aperture)
        reach = kernel.shape[0] // 2 * step
        x, y, width, height = cv2.boundingRect((weight > 0).astype(np.uint8))
        box = tuple(slice(max(0, a - reach - 1), a + size + reach + 1) for a, size in ((y, height), (x, width)))
        if not width or self.coverage[box].min() >= _FULL:
            return
        layer = np.dstack([premultiplied[box], weight[box]])
        if reach:
            layer = _convolved(layer, kernel, step)
        alpha = np.maximum(layer[..., -1], 0.0)
        taken = np.minimum(alpha, np.maximum(1.0 - self.coverage[box], 0.0))
        self.colour[box] += layer[..., :-1] * (taken / np.maximum(alpha, 1e-6))[..., None]
        self.coverage[box] += taken

    def picture(self) -> Float32Array:
        """(H, W, C): colour over coverage."""
        return (self.colour / np.maximum(self.coverage, 1e-4)[..., None]).astype(np.float32, copy=False)


def _convolved(layer: Float32Array, kernel: Float32Array, step: int) -> Float32Array:
    """(h, w, C) convolved with a kernel for images downsampled by ``step``, whose detail the blur removes anyway."""
    # filter2D correlates; flipping the kernel makes it a convolution, which matters for asymmetric apertures.
    flipped = np.ascontiguousarray(kernel[::-1, ::-1])
    height, width = layer.shape[:2]
    if step > 1:
        small = (-(-width // step), -(-height // step))
        layer = np.asarray(cv2.resize(layer, small, interpolation=cv2.INTER_AREA), dtype=np.float32)
    layer = np.asarray(cv2.filter2D(layer, -1, flipped, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
    if step > 1:
        layer = np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return layer


def _render_channels(
    surfaces: Sequence[Surface],
    channels: slice,
    u_focus: float,
    kappa: float,
    shift_px: float,
    aperture: Aperture,
    fine_px: float,
) -> Float32Array:
    height, width = surfaces[0].coverage.shape
    canvas = _Canvas(height, width, channels.stop - channels.start)
    rotated, angle_rad = aperture.rotation_rad + np.pi, aperture.cat_eye_angle_rad + np.pi
    mirrored = replace(aperture, rotation_rad=rotated, cat_eye_angle_rad=angle_rad)
    for surface in surfaces:
        covered = surface.coverage > 0
        if not covered.any():
            continue
        # Depth may be unknown where nothing is covered; zero there keeps NaN out of the layers.
        signed_px = np.where(covered, kappa * (u_focus - surface.inv_depth) + shift_px, 0.0).astype(np.float32)
        used = signed_px[covered]
        nodes = layer_defocus_px(float(used.min()), float(used.max()))
        colour = surface.linear[..., channels]
        # lower layer of every pixel and the share of the next one; the mixture keeps the variance of the blur
        index, share = np.zeros(covered.shape, dtype=np.intp), np.zeros(covered.shape, dtype=np.float32)
        if len(nodes) > 1:
            index = np.clip(np.searchsorted(nodes, signed_px, side="right") - 1, 0, len(nodes) - 2)
            lower, upper = nodes[index] ** 2, nodes[index + 1] ** 2
            exact = (np.square(signed_px, dtype=np.float64) - lower) / (upper - lower)
            share = np.clip(exact, 0.0, 1.0).astype(np.float32)
        for k, c in enumerate(nodes):
            weight = np.where(index == k, 1.0 - share, np.where(index == k - 1, share, 0.0)).astype(np.float32)
            weight *= surface.coverage
            # In front of the plane of focus, the image of the aperture is rotated by 180 degrees.
            shape = aperture if c > 0 or aperture == DISC else mirrored
            canvas.add_behind(colour * weight[..., None], weight, abs(float(c)), shape, fine_px)
    return canvas.picture()


def render_surfaces(
    surfaces: Sequence[Surface],
    u_focus: float,
    kappa: float,
    flaws: LensFlaws | None = None,
    fine_px: float | None = None,
) -> Float32Array:
    """Render surfaces through a lens: every point is blurred by |kappa (u_focus - u)| px; (H, W, 3) linear light.

    The surfaces are nearest first, of one size, and together cover every pixel. ``kappa`` is in pixels per unit of
    their inverse depth. With ``fine_px``, layers with a CoC of n times as much are blurred at 1/n of the resolution,
    which is fast and has no cap. ValueError for unknown depth under coverage or a CoC beyond the cap.
    """
    flaws = flaws or LensFlaws()
    if not surfaces:
        raise ValueError("no surface to render; expected at least one")
    if not (np.isfinite(u_focus) and np.isfinite(kappa) and kappa >= 0):
        raise ValueError(f"u_focus {u_focus}, kappa {kappa}; expected finite numbers and kappa >= 0")
    shape = surfaces[0].coverage.shape
    for number, surface in enumerate(surfaces):
        if surface.linear.shape != (*shape, 3) or surface.inv_depth.shape != shape or surface.coverage.shape != shape:
            raise ValueError(
                f"surface {number}: shapes {surface.linear.shape}, {surface.inv_depth.shape}, "
                f"{surface.coverage.shape}; expected {(*shape, 3)}, {shape}, {shape}"
            )
        u = surface.inv_depth[surface.coverage > 0]
        if not np.isfinite(u).all():
            raise ValueError(f"surface {number}: unknown inverse depth where it covers pixels; complete the map first")
        largest = kappa * float(np.abs(u_focus - u).max(initial=0.0)) + max(abs(s) for s in flaws.colour_shift_px)
        if fine_px is None and largest > MAX_COC_PX:
            raise ValueError(f"surface {number}: CoC up to {largest:.0f} px; expected at most {MAX_COC_PX:g} px")
    if len(set(flaws.colour_shift_px)) == 1:
        groups = [(slice(0, 3), flaws.colour_shift_px[0])]
    else:
        groups = [(slice(c, c + 1), flaws.colour_shift_px[c]) for c in range(3)]
    parts = [
        _render_channels(surfaces, channels, u_focus, kappa, shift, flaws.aperture, fine_px or MAX_COC_PX)
        for channels, shift in groups
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def hidden_surface(linear: Float32Array, inv_depth: Float32Array, jump: float, radius_px: int) -> Surface | None:
    """Plausible background behind every depth edge, from the far surface mirrored at the edge; None without edges.

    A blurred foreground edge is half transparent, and a blurred background extends behind a sharp foreground: both need
    content that is hidden in the sharp photo. Mirrored texture keeps its detail, unlike smooth inpainting. ``jump`` is
    the minimum step of inverse depth, over 5 x 5 pixels, of an occlusion edge; the background is needed up to
    ``radius_px`` behind it.
    """
    window = np.ones((5, 5), dtype=np.uint8)
    far_edge = cv2.dilate(inv_depth, window) - inv_depth > jump
    if not far_edge.any():
        return None
    # Only pixels of the far surface are sources, not the ramp of a soft edge.
    far_edge &= inv_depth - cv2.erode(inv_depth, window) <= 0.5 * jump
    if not far_edge.any():
        return None
    height, width = inv_depth.shape
    distance, (rows, columns) = ndimage.distance_transform_edt(~far_edge, return_indices=True)
    near = (distance <= radius_px) & (inv_depth - inv_depth[rows, columns] > 0.5 * jump)
    y, x = np.nonzero(near)
    if not len(y):
        return None
    edge_y, edge_x, d = rows[y, x], columns[y, x], distance[y, x]
    # Two pixels beyond the mirror position: edge pixels mix both surfaces.
    stretch = (d + 2.0) / d
    source_y = np.clip(np.rint(edge_y + (edge_y - y) * stretch), 0, height - 1).astype(np.intp)
    source_x = np.clip(np.rint(edge_x + (edge_x - x) * stretch), 0, width - 1).astype(np.intp)
    edge_u = inv_depth[edge_y, edge_x]
    good = np.abs(inv_depth[source_y, source_x] - edge_u) <= 0.5 * jump
    source_y, source_x = np.where(good, source_y, edge_y), np.where(good, source_x, edge_x)
    behind = np.zeros_like(linear)
    behind_u = np.zeros_like(inv_depth)
    coverage = np.zeros_like(inv_depth)
    behind[y, x] = linear[source_y, source_x]
    # A mirrored slope must not be in front of the occluding surface.
    behind_u[y, x] = np.minimum(inv_depth[source_y, source_x], inv_depth[y, x])
    coverage[y, x] = 1.0
    return Surface(behind, behind_u, coverage)


def with_hidden(linear: Float32Array, inv_depth: Float32Array, jump: float, radius_px: int) -> list[Surface]:
    """The surface of a whole image and, if it has depth edges, its :func:`hidden_surface` behind it."""
    whole = Surface(linear, inv_depth, np.ones(inv_depth.shape, dtype=np.float32))
    behind = hidden_surface(linear, inv_depth, jump, radius_px)
    return [whole] if behind is None else [whole, behind]


def add_sensor_noise(linear: Float32Array, camera: Camera, rng: np.random.Generator) -> Float32Array:
    """Add shot and read noise: normally distributed with variance ``shot * light + read^2``."""
    if camera.shot < 0 or camera.read < 0:
        raise ValueError(f"noise {camera.shot}, {camera.read}; expected values >= 0")
    if camera.shot == 0 and camera.read == 0:
        return linear
    sigma = np.sqrt(camera.shot * np.maximum(linear, 0.0) + np.float32(camera.read**2))
    return (linear + sigma * rng.standard_normal(linear.shape, dtype=np.float32)).astype(np.float32, copy=False)


def encode_jpeg(srgb8: UInt8Array, camera: Camera) -> bytes:
    """Encode (H, W, 3) as JPEG with the quality (default 95) and chroma resolution of the camera."""
    stream = io.BytesIO()
    quality = 95 if camera.jpeg_quality is None else camera.jpeg_quality
    Image.fromarray(srgb8).save(stream, format="JPEG", quality=quality, subsampling=2 if camera.chroma_halved else 0)
    return stream.getvalue()


def decode_jpeg(data: bytes) -> UInt8Array:
    """Decode a JPEG file in memory to (H, W, 3) uint8."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def defocused_light(
    linear: Float32Array,
    signed_defocus_px: Float32Array,
    flaws: LensFlaws | None = None,
    jump_px: float = 1.5,
    fine_px: float | None = None,
) -> Float32Array:
    """Blur (H, W, 3) linear light by (H, W) finite signed CoC; options as for the other functions of this module."""
    inv_depth = (-np.asarray(signed_defocus_px)).astype(np.float32)
    reach_px = int(np.ceil(np.abs(inv_depth).max() / 2)) + 2
    return render_surfaces(with_hidden(linear, inv_depth, jump_px, reach_px), 0.0, 1.0, flaws, fine_px=fine_px)


def develop(linear: Float32Array, camera: Camera, seed: int = 0) -> UInt8Array:
    """Apply the camera's noise and compression to linear light; returns 8-bit sRGB."""
    srgb8 = srgb8_from_linear(add_sensor_noise(linear, camera, np.random.default_rng(seed)))
    return srgb8 if camera.jpeg_quality is None else decode_jpeg(encode_jpeg(srgb8, camera))
