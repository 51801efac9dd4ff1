"""Rendered counterparts of real focal stacks: same sharp image, depth, planes of focus and kappa, but rendered blur.

Renderer, lens flaws and camera are those of ``mddnet build`` for RGB-D and stereo.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from research.claims.plan import evenly_spaced_frames

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.data.scene_pool import SceneEntry
from mddnet.io.atomic import atomic_write
from mddnet.scenes.render import (
    MAX_COC_PX,
    Surface,
    add_sensor_noise,
    encode_jpeg,
    hidden_surface,
    render_surfaces,
)
from mddnet.scenes.rendered_scene import completed_inv_depth, draw_camera, draw_flaws, named_rng
from mddnet.scenes.scene_stamp import scene_stamp
from mddnet.scenes.store import read_image, read_inv_depth, read_scene, write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, Lens

JUMP_SHARE = 0.05
"""A step of more than this share of the scene's range occludes a surface, as in ``mddnet build``."""


def counterpart(entry: SceneEntry, root: Path, frames: int) -> SceneEntry:
    """The counterpart of a scene, rendered if it is missing.

    Args:
        entry: a real focal stack, built.
        root: folder of the counterparts.
        frames: largest number of frames, evenly spaced.
    """
    folder = root / "focal_stacks" / entry.record.name
    if not (folder / "scene.json").is_file():
        _render(entry, folder, frames)
    return SceneEntry(folder, entry.group, read_scene(folder), scene_stamp(folder))


def _render(entry: SceneEntry, folder: Path, frames: int) -> None:
    record = entry.record
    sharp = read_image(entry.folder / record.sharp)
    truth = read_inv_depth(entry.folder / record.inv_depth)
    known = truth[np.isfinite(truth)]
    low, high = (float(q) for q in np.percentile(known, (0.2, 99.8)))
    depth = np.clip(completed_inv_depth(truth, sharp), low, high).astype(np.float32)
    rng = named_rng(f"twin/{record.name}", 0)
    surfaces = [Surface(linear_from_srgb8(sharp), depth, np.ones_like(depth))]
    chosen = evenly_spaced_frames(record.frames, frames)
    reach = max(frame.kappa_px for frame in chosen) * (high - low)
    behind = hidden_surface(surfaces[0].linear, depth, JUMP_SHARE * (high - low), int(np.ceil(reach / 2)) + 3)
    if behind is not None:
        surfaces.append(behind)
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / "sharp.png", sharp)
    write_inv_depth(folder / "inv_depth.png", truth, record.unit)
    if record.confidence is not None:
        write_image(folder / "confidence.png", read_image(entry.folder / record.confidence))
    records = []
    for n, frame in enumerate(chosen):
        largest = frame.kappa_px * max(abs(frame.u_focus - low), abs(frame.u_focus - high))
        flaws, camera = draw_flaws(largest, rng), draw_camera(rng)
        kappa = frame.kappa_px * min(1.0, (MAX_COC_PX - 2.0) / max(largest, 1.0))  # the renderer's own limit
        picture = add_sensor_noise(render_surfaces(surfaces, frame.u_focus, kappa, flaws), camera, rng)
        data = encode_jpeg(srgb8_from_linear(picture), camera)
        file = f"frame_{n:02d}.jpg"
        atomic_write(folder / file, lambda stream, data=data: stream.write(data))  # type: ignore[misc]
        records.append(FrameRecord(file, frame.u_focus, kappa))
    # written last: a counterpart without it is rendered again
    write_scene_json(
        folder,
        replace(
            record,
            provenance="rendered",
            frames=records,
            sharp="sharp.png",
            inv_depth="inv_depth.png",
            confidence=None if record.confidence is None else "confidence.png",
            lens=Lens(),
            measures={},
        ),
    )
