"""Photos with known depth and defocus on which verdicts and expected errors are calibrated and measured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from research.verdict.lens_of_frame import lens_of_frame

from mddnet.data.evenly import evenly
from mddnet.data.split import split_of
from mddnet.metrics import depth_ordinal_pairs, inv_depth_range, texture_mask
from mddnet.optics import signed_defocus_px
from mddnet.predict.predictor import network_size
from mddnet.scenes.store import list_scenes, read_image, read_inv_depth, read_scene
from mddnet.scenes.true_camera import true_camera
from mddnet.types import BoolArray, Float32Array, FrameRecord, Lens, SceneRecord, Split, UInt8Array

LONG_SIDE = 512
SCENES_PER_LOCATION = 8
FRAMES = {"focal_stacks": 8, "light_fields": 8, "stereo": 6, "multiview": 0}
"""Focused frames per scene besides the all-in-focus image; two of the other kinds. Photos of many views are sharp."""
OTHER_FRAMES = 2
CONFIDENT = 128
PAIRS, LEAST_PAIRS = 8000, 100
ALLOWED_PX, ALLOWED_SHARE = 2.0, 0.4
"""A signed CoC is right within this error at a long side of 512 px, or this share of the truth."""


@dataclass(frozen=True)
class Truth:
    """A photo of at most 512 px and what is known about it."""

    photo: UInt8Array  # (H, W, 3) sRGB
    inv_depth: Float32Array  # (H, W), NaN where unknown
    mask: BoolArray  # (H, W), known and textured pixels, at which the order of depth counts
    signed_px: Float32Array | None  # (H, W), pixels of the photo, NaN where unknown; None if it is not known at all
    range: float  # the 2-98 % range of inverse depth
    camera: tuple[float, float] = (math.nan, math.nan)  # log tangent of half the field of view, log median depth in m

    def depth_score(self, inv_depth: Float32Array) -> float:
        """Share of random pairs of pixels of clearly different depth in the right order; NaN with too few pairs."""
        pairs = depth_ordinal_pairs(self.inv_depth, self.mask, pairs=PAIRS, seed=1)
        return pairs.accuracy(inv_depth) if len(pairs) >= LEAST_PAIRS else float("nan")

    def defocus_score(self, signed_px: Float32Array) -> float:
        """Share of known pixels whose signed CoC is right: within 2 px at a long side of 512 px, or 40 % of the truth.

        A wrong sign counts in full: -5 px for +5 px is an error of 10 px. NaN where the truth is not known.
        """
        if self.signed_px is None:
            return float("nan")
        known = np.isfinite(self.signed_px)
        true = self.signed_px[known]
        allowed = np.maximum(ALLOWED_PX * max(self.photo.shape) / LONG_SIDE, ALLOWED_SHARE * np.abs(true))
        return float((np.abs(signed_px[known] - true) <= allowed).mean()) if known.any() else float("nan")


@dataclass(frozen=True)
class Case:
    """One photo of a scene: a focused frame, or the all-in-focus image."""

    kind: str
    folder: Path
    record: SceneRecord
    file: str
    u_focus: float = 0.0
    kappa_px: float = 0.0  # 0 is sharp everywhere

    @property
    def name(self) -> str:
        """Unique name, a plain file name."""
        return f"{self.kind}__{self.record.name}__{Path(self.file).stem}"

    @property
    def location(self) -> str:
        return self.record.location

    def lens(self, photo: UInt8Array) -> Lens | None:
        """The lens of the photo of its :class:`Truth`; None where it is not known."""
        width = Image.open(self.folder / self.file).width
        return lens_of_frame(self.record, FrameRecord(self.file, self.u_focus, self.kappa_px), width / photo.shape[1])

    @property
    def sharp(self) -> bool:
        return self.file == self.record.sharp

    def truth(self) -> Truth:
        """Read and downsample the photo and its truth."""
        record = self.record
        image, sharp = read_image(self.folder / self.file), read_image(self.folder / record.sharp)
        u = read_inv_depth(self.folder / record.inv_depth).copy()
        if record.confidence is not None:
            u[read_image(self.folder / record.confidence)[..., 0] < CONFIDENT] = np.nan
        height, width = image.shape[:2]
        h, w = network_size(height, width, LONG_SIDE)
        small = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.LANCZOS, reducing_gap=3.0))
        if record.unit == "ordinal" and record.provenance == "real":  # single points: none may be lost
            rows, columns = np.nonzero(np.isfinite(u))
            coarse = np.full((h, w), np.nan, np.float32)
            coarse[rows * h // height, columns * w // width] = u[rows, columns]
            return Truth(small, coarse, np.isfinite(coarse), None, inv_depth_range(coarse))
        mask = texture_mask(sharp) & np.isfinite(u)
        u = cv2.resize(u, (w, h), interpolation=cv2.INTER_NEAREST)
        mask = cv2.resize(mask.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
        signed = signed_defocus_px(u, self.u_focus, self.kappa_px * w / width).astype(np.float32)
        middle = float(np.nanmedian(u)) if np.isfinite(u).any() else math.nan
        return Truth(small, u, mask, signed, inv_depth_range(u), true_camera(record, max(height, width), middle))


def find_cases(scenes: Path, locations: Mapping[str, Split], split: Split, photos: Path | None = None) -> list[Case]:
    """Cases of a split, by kind, location and name.

    Args:
        scenes: folder of built scenes; those of photos are not taken, since training has seen them.
        locations: the split.
        split: the wanted part.
        photos: folder of built scenes of the calib photos; only for ``calib``.
    """
    groups: dict[tuple[str, str], list[tuple[Path, SceneRecord]]] = defaultdict(list)
    folders = [folder for folder in list_scenes(scenes) if folder.parent.name not in ("photos", "pseudo")]
    for folder in folders:
        record = read_scene(folder)
        if split_of(record.location, locations) == split:
            groups[folder.parent.name, record.location].append((folder, record))
    for folder in list_scenes(photos) if photos is not None and split == "calib" else ():
        record = read_scene(folder)
        groups["photos", record.location].append((folder, record))
    found: list[Case] = []
    for (kind, _), group in sorted(groups.items()):
        most = len(group) if kind == "photos" else SCENES_PER_LOCATION
        for index in evenly(len(group), most):
            found += _of_scene(kind, *group[index])
    return found


def _of_scene(kind: str, folder: Path, record: SceneRecord) -> Iterator[Case]:
    yield Case(kind, folder, record, record.sharp)
    frames = sorted(
        (frame for frame in record.frames if frame.file != record.sharp and frame.kappa_px > 0),
        key=lambda frame: (frame.u_focus, frame.file),
    )
    for index in evenly(len(frames), min(len(frames), FRAMES.get(kind, OTHER_FRAMES))):
        frame = frames[index]
        yield Case(kind, folder, record, frame.file, frame.u_focus, frame.kappa_px)
