"""Builders of scenes with rendered frames: from RGB-D, stereo, pseudo-labels, and photos with synthetic depth.

The CoC of these frames is exact for the rendered depth. In an ``ordinal`` scene, the ordinal value is rendered as if it
were an inverse depth: the defocus map is exact, but only the order of depths is meaningful. Holes in the depth are
filled for rendering only and stay unknown in the scene.

The random generator is seeded with the scene's name: rebuilding a scene gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy import ndimage

from mddnet.captures.kind import ListedCapture
from mddnet.captures.photo_folder import SharpPhoto
from mddnet.captures.photo_folder import named_rng as named_rng
from mddnet.captures.rgbd import RgbdFrame
from mddnet.captures.stereo import StereoScene
from mddnet.captures.views import RenderedView
from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.errors import RejectedScene
from mddnet.optics import sensor_distance_m
from mddnet.scenes import render
from mddnet.scenes.filling import nearest_along_axes
from mddnet.scenes.guided_filter import guided
from mddnet.scenes.remarks import depth_remarks
from mddnet.scenes.store import write_scene
from mddnet.scenes.synthetic_depth import synthetic_scene, texture
from mddnet.types import Float32Array, FrameRecord, Lens, SceneRecord, UInt8Array

SMALLEST_COC_PX = 1.0
LARGEST_COC_PX = 40.0
"""Range of the largest CoC of a frame for a long edge of 512 px; it scales with the long edge up to 640 px."""
OUTSIDE_SHARE = 0.3  # of frames whose plane of focus is nearer or farther than the whole scene
PASTE_SHARE = 0.7
COLOUR_ERROR_SHARE = 0.85
MIN_KNOWN_SHARE = 0.2
COLUMN_FOV_FOCAL = 0.82  # default focal length over image width: that of the Kinect (525 px of 640)


@dataclass(frozen=True, slots=True)
class _Shot:
    """Lens settings of one frame."""

    u_focus: float
    kappa: float
    largest_coc_px: float


def completed_inv_depth(inv_depth: Float32Array, guide_srgb8: UInt8Array) -> Float32Array:
    """Fill unknown pixels of (H, W) for rendering, each from the nearby known pixel of most similar colour.

    Candidates are the nearest known pixels to the left, right, above and below, and the nearest overall. The cost is
    the colour difference plus small terms for distance and nearness: sensors usually lose background next to an edge.
    """
    known = np.isfinite(inv_depth)
    if not known.any():
        raise RejectedScene("no pixel has a known depth")
    if known.all():
        return inv_depth.astype(np.float32)
    height, width = inv_depth.shape
    rows, columns = np.mgrid[:height, :width]
    # Depth is unreliable at the edge of a hole: sources are one pixel inside the known area.
    safe = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE).astype(bool)
    source = safe if safe.any() else known
    candidates = [
        *nearest_along_axes(source),
        tuple(ndimage.distance_transform_edt(~source, return_distances=False, return_indices=True)),
    ]
    lab = cv2.cvtColor(cv2.GaussianBlur(guide_srgb8, (0, 0), 1.0), cv2.COLOR_RGB2LAB).astype(np.float32)
    u = np.where(known, inv_depth, 0.0)
    span = float(np.ptp(u[known])) or 1.0
    best_cost = np.full((height, width), np.inf, dtype=np.float32)
    filled = u.astype(np.float32)
    for r, c in candidates:
        there = (r >= 0) & (c >= 0) & ~known
        r, c = np.maximum(r, 0), np.maximum(c, 0)
        colour = np.abs(lab[r, c] - lab).sum(axis=2)
        distance = np.hypot(r - rows, c - columns)
        cost = colour + 0.15 * distance + 10.0 * (u[r, c] - u[known].min()) / span
        better = there & (cost < best_cost)
        best_cost[better] = cost[better]
        filled[better] = u[r, c][better]
    smooth = cv2.medianBlur(filled, 5)
    return np.where(known, inv_depth, smooth).astype(np.float32)


def draw_shots(
    inv_depth: Float32Array, count: int, rng: np.random.Generator, lowest_u: float | None = None
) -> Sequence[_Shot]:
    """Draw the focus and blur of ``count`` frames; RejectedScene if (H, W) ``inv_depth`` is constant.

    Most frames focus on the depth of a random pixel or anywhere in the range, some outside, but not below ``lowest_u``.
    The largest CoC is log-uniform.
    """
    if count < 1:
        raise ValueError(f"{count} frames; expected at least 1")
    low, high = (float(q) for q in np.percentile(inv_depth, (1, 99)))
    span = high - low
    if not span > 0:
        raise RejectedScene("the whole scene has one depth; expected a range of depths")
    scale = min(max(inv_depth.shape), 640) / 512.0
    # Stratified sampling: the frames of a scene focus on different depths.
    strata = (rng.permutation(count) + rng.random(count)) / count
    ranked = np.sort(np.clip(inv_depth, low, high).ravel()[:: max(1, inv_depth.size // 4096)])
    shots = []
    for stratum in strata:
        kind = rng.random()
        if kind < OUTSIDE_SHARE:
            beyond = rng.uniform(0.0, 0.35) * span
            u_focus = high + beyond if stratum > 0.5 else low - beyond
        elif kind < 0.6:
            u_focus = low + stratum * span
        else:
            u_focus = float(ranked[int(stratum * (len(ranked) - 1))])
        if lowest_u is not None:
            u_focus = max(u_focus, lowest_u)
        largest = scale * float(np.exp(rng.uniform(np.log(SMALLEST_COC_PX), np.log(LARGEST_COC_PX))))
        # The full range, not the percentiles: no pixel may exceed the drawn blur.
        reach = max(abs(u_focus - float(inv_depth.min())), abs(u_focus - float(inv_depth.max())))
        shots.append(_Shot(float(u_focus), largest / reach, largest))
    return shots


def draw_flaws(largest_coc_px: float, rng: np.random.Generator) -> render.LensFlaws:
    """Draw lens flaws: usually chromatic aberration, sometimes a polygonal or vignetted aperture.

    Like the CoC, chromatic aberration grows with the aperture: at most an eighth of the frame's largest CoC.
    """
    aperture = render.Aperture()
    shape = rng.random()
    if shape < 0.25:
        aperture = render.Aperture(blades=int(rng.integers(5, 10)), rotation_rad=float(rng.uniform(0, 2 * np.pi)))
    elif shape < 0.4:
        aperture = render.Aperture(
            cat_eye=float(rng.uniform(0.1, 0.6)), cat_eye_angle_rad=float(rng.uniform(0, 2 * np.pi))
        )
    if rng.random() < COLOUR_ERROR_SHARE:
        return render.LensFlaws(aperture, render.draw_colour_shift_px(0.125 * largest_coc_px, rng))
    return render.LensFlaws(aperture)


def draw_camera(rng: np.random.Generator) -> render.Camera:
    """Draw low to high sensor noise, and JPEG quality 70 to 95, in half of the cases with subsampled chroma."""
    return render.Camera(
        shot=float(np.exp(rng.uniform(np.log(1e-5), np.log(8e-4)))),
        read=float(np.exp(rng.uniform(np.log(1e-4), np.log(1.5e-3)))),
        jpeg_quality=int(rng.integers(70, 96)),
        chroma_halved=bool(rng.random() < 0.5),
    )


def _write(
    out_root: Path,
    capture: ListedCapture,
    kind: str,
    shots: Sequence[_Shot],
    surfaces: Sequence[render.Surface],
    rng: np.random.Generator,
    measures: dict[str, float],
    **fields: Any,
) -> SceneRecord:
    """:func:`write_scene` with a frame for each shot, by a camera and a lens with flaws of its own."""

    def images() -> Iterator[bytes]:
        for shot in shots:
            flaws, camera = draw_flaws(shot.largest_coc_px, rng), draw_camera(rng)
            picture = render.render_surfaces(surfaces, shot.u_focus, shot.kappa, flaws)
            yield render.encode_jpeg(srgb8_from_linear(render.add_sensor_noise(picture, camera, rng)), camera)

    frames = [FrameRecord(f"frame_{i:02d}.jpg", shot.u_focus, shot.kappa) for i, shot in enumerate(shots)]
    measures |= {f"largest_coc_px_{i:02d}": shot.largest_coc_px for i, shot in enumerate(shots)}
    return write_scene(
        out_root, capture, kind, frames=frames, images=images(), sharp_quality=95, measures=measures, **fields
    )


def _physical_lens(shots: Sequence[_Shot], focal_px: float) -> tuple[Lens, list[float]]:
    """A lens with the field of view of the capture, and the exact f-number for each frame's kappa.

    With p = f / focal_px, kappa = f v / (N p) gives N = focal_px v / kappa. The focal length is free, since it scales
    the whole camera; it is chosen for f-numbers around 4, and to focus on the nearest plane of the shots.
    """
    typical = float(np.exp(np.mean([np.log(s.kappa) for s in shots])))
    nearest_mm = 1000.0 / max(1e-9, *(shot.u_focus for shot in shots))
    focal_mm = min(float(np.clip(1000.0 * 4.0 * typical / focal_px, 2.0, 200.0)), nearest_mm / 2.0)
    f_numbers = []
    for shot in shots:
        z = 1.0 / shot.u_focus if shot.u_focus > 0 else float("inf")
        f_numbers.append(focal_px * sensor_distance_m(focal_mm, z) / shot.kappa)
    return Lens(focal_mm=focal_mm, pixel_um=1000.0 * focal_mm / focal_px), f_numbers


def _build(
    capture: RgbdFrame | StereoScene | RenderedView, out_root: Path, frames: int, seed: int, kind: str
) -> SceneRecord:
    """Render ``frames`` of a capture with depth; RejectedScene if too little of it is known."""
    rng = named_rng(f"{capture.location}/{capture.name}", seed)
    notes: list[str] = []
    image, truth = capture.read_rgb(notes), capture.read_inv_depth(notes)
    if truth.shape != image.shape[:2]:
        raise RejectedScene(f"image {image.shape[:2]} and depth {truth.shape} differ in size")
    known = float(np.isfinite(truth).mean())
    if known < MIN_KNOWN_SHARE:
        raise RejectedScene(f"depth is known for {known:.0%} of the pixels; expected at least {MIN_KNOWN_SHARE:.0%}")
    if capture.unit == "1/m":
        notes += depth_remarks(truth, stated_mm=kind == "rgbd")
    rendered = completed_inv_depth(truth, image)
    if kind == "rgbd":
        # Outliers of depth sensors would be rendered as strongly blurred specks.
        low, high = np.percentile(rendered, (0.2, 99.8))
        rendered = np.clip(cv2.medianBlur(rendered, 5), low, high).astype(np.float32)
        truth = np.where((truth < low) | (truth > high), np.nan, truth).astype(np.float32)
    elif kind == "pseudo":
        # Pseudo-labels are smooth at object edges: align rendered and stored depth with the image.
        rendered = guided(rendered, image)
        truth = np.where(np.isfinite(truth), rendered, np.nan).astype(np.float32)
    long_side = max(image.shape[:2])
    jump = 0.05 * float(np.ptp(np.percentile(rendered, (2, 98))))
    reach_px = int(np.ceil(LARGEST_COC_PX * min(long_side, 640) / 512.0 / 2)) + 3
    surfaces = render.with_hidden(linear_from_srgb8(image), rendered, jump, reach_px)
    measures = {"known_share": known, "texture": texture(image)}
    shots, lens = draw_shots(rendered, frames, rng, lowest_u=0.0 if capture.unit == "1/m" else None), Lens()
    if capture.unit == "1/m":
        lens, f_numbers = _physical_lens(shots, capture.focal_px(image.shape[1]) or COLUMN_FOV_FOCAL * long_side)
        measures |= {f"f_number_{i:02d}": n for i, n in enumerate(f_numbers)}
    maps = {"unit": capture.unit, "sharp": image, "inv_depth": truth}
    about = {"provenance": "pseudo" if kind == "pseudo" else "rendered", "lens": lens, "remarks": tuple(notes)}
    return _write(out_root, capture, kind, shots, surfaces, rng, measures, **maps, **about)


build_rgbd_scene = partial(_build, kind="rgbd")
build_pseudo_scene = partial(_build, kind="pseudo")
build_stereo_scene = partial(_build, kind="stereo")
build_view_scene = partial(_build, kind="view")


def build_photo_scene(photo: SharpPhoto, out_root: Path, frames: int, seed: int) -> SceneRecord:
    """Render frames from a photo with synthetic depth, often (70 %) with pieces of the other photo in front."""
    rng = named_rng(f"{photo.location}/{photo.name}", seed)
    notes: list[str] = []
    image = photo.read_rgb(notes)
    pasted = photo.other is not None and rng.random() < PASTE_SHARE
    scene = synthetic_scene(image, rng, photo.other.read_rgb() if pasted and photo.other is not None else None)
    sharp = srgb8_from_linear(scene.sharp_linear())
    measures = {"pasted": float(scene.pasted), "texture": texture(sharp)}
    shots = draw_shots(scene.inv_depth, frames, rng)
    maps = {"unit": "relative", "sharp": sharp, "inv_depth": scene.inv_depth}
    about = {"provenance": "rendered", "remarks": tuple(notes)}
    return _write(out_root, photo, "photo", shots, scene.surfaces, rng, measures, **maps, **about)
