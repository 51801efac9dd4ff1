"""The result of :func:`mddnet.stack`, and its files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mddnet.color_maps import DEPTH_COLOURS, GREYS, colours
from mddnet.focus_stack.frames import LeftOut
from mddnet.io.atomic import plain_json
from mddnet.optics import signed_defocus_px
from mddnet.predict.dioptres import depth_m_of
from mddnet.predict.map_files import Map
from mddnet.predict.output import (
    PREVIEW_SUFFIX,
    SHARP_SUFFIX,
    SaveFormat,
    Staging,
    formats_of,
    put_map,
    put_picture,
    put_points,
    require_packages,
    save_staged,
)
from mddnet.predict.point_cloud import Pinhole, camera_of, point_cloud
from mddnet.predict.prediction import Prediction, Quantity, SmallMaps
from mddnet.predict.preview import Panel, panel_size, side_by_side
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit, Photo, UInt8Array
from mddnet.version import __version__

MODEL = "stack"  # in the place of a network's name
ALL_SHARP = LensLawFit(False, float("nan"), float("nan"), 0.0, "an all-in-focus image")


@dataclass(frozen=True, eq=False)
class StackResult:
    """Depth and all-in-focus image of a focal stack; frames are in order from near to far.

    Attributes:
        all_in_focus: (H, W, 3) uint8, sRGB.
        inv_depth: (H, W) inverse depth in ``unit``, finite; larger is nearer.
        confidence: (H, W) in [0, 1]; 0 where the frames tell nothing and the depth is that of the surroundings.
        unit: ``"1/m"``, ``"1/m from focus"``, ``"relative"``, or ``"ordinal"`` where only the order is reliable.
        u_focus: (N,) inverse depth of the plane of focus of every frame, falling.
        kappa_px: pixels of CoC for one unit of inverse depth.
        names: (N,) files of the frames.
        aligned: (N,) aligned frames, (H, W, 3) uint8 each, on disk until they are read.
        reference: number of the frame to which the others are aligned.
        origin_px: row and column of the first pixel of all maps in the reference frame, since borders are cropped.
        lens: what is known of the lens.
        left_out: frames that were not used, with reasons.
        notes: assumptions and what is missing.
        measures: measured numbers, such as the residual of the alignment.
        source: identity of the files.
    """

    all_in_focus: UInt8Array
    inv_depth: Float32Array
    confidence: Float32Array
    unit: InvDepthUnit
    u_focus: tuple[float, ...]
    kappa_px: float
    names: tuple[str, ...]
    aligned: Sequence[UInt8Array]
    reference: int
    origin_px: tuple[int, int]
    lens: Lens
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    measures: dict[str, float]
    source: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of all maps."""
        height, width = self.inv_depth.shape
        return height, width

    @property
    def depth_m(self) -> Float32Array | None:
        """(H, W) z-depth in metres, infinite beyond 10 km; None unless ``unit`` is ``"1/m"``."""
        return depth_m_of(self.inv_depth) if self.unit == "1/m" else None

    def signed_defocus_px(self, frame: int) -> Float32Array:
        """(H, W) signed CoC diameter of a frame in pixels, positive behind its plane of focus."""
        return self.frame_maps(frame).rows("signed_defocus_px", 0, self.size[0])

    def frame_maps(self, frame: int) -> FrameMaps:
        """The maps of a frame, a few rows at a time."""
        return FrameMaps(self, self.u_focus[frame])

    @property
    def camera(self) -> Pinhole:
        """The pinhole camera of the images."""
        return camera_of(self.lens, self.unit, ALL_SHARP, self.size)

    def prediction(self, frame: int | None = None) -> Prediction:
        """An aligned frame with its maps, or without a number the all-in-focus image, as that of a single photo."""
        focus, pixels = ALL_SHARP, self.all_in_focus
        signed = np.zeros(self.size, np.float32) if frame is None else self.signed_defocus_px(frame)
        if frame is not None:
            focus, pixels = LensLawFit(True, self.u_focus[frame], self.kappa_px, 0.0), np.asarray(self.aligned[frame])
        sign = np.where(signed < 0, np.float32(-1), np.float32(1))
        maps = SmallMaps(self.inv_depth, np.abs(signed), sign, self.confidence)
        return Prediction(maps, self.unit, focus, Photo(pixels, self.lens), MODEL, __version__, self.notes)

    def save(
        self,
        folder: str | os.PathLike[str],
        stem: str = "stack",
        formats: str | Sequence[SaveFormat] = ("tiff", "ply"),
        defocus: bool = True,
    ) -> dict[str, Path]:
        """Write the all-in-focus image (PNG), maps, point cloud, preview and facts into a folder.

        The formats are those of :meth:`mddnet.Prediction.save`, but "mask". The signed defocus map of frame 0 is
        ``stem.00.signed_defocus_px.tiff`` and so on; without ``defocus`` these maps are not written. Saving the same
        frames again replaces their files.
        """
        formats = formats_of(formats)
        require_packages(formats)
        return save_staged(Path(folder), stem, self.source, partial(self._stage, formats, defocus))

    def _stage(self, formats: Sequence[SaveFormat], defocus: bool, staging: Staging) -> None:
        put_picture(staging, "all_in_focus", SHARP_SUFFIX, Image.fromarray(self.all_in_focus))
        maps: list[Quantity] = ["inv_depth", "confidence", *(["depth_m"] if self.unit == "1/m" else [])]  # type: ignore[list-item]
        for quantity in maps:
            put_map(staging, Map(FrameMaps(self, 0.0), quantity), formats)
        digits = max(2, len(str(len(self.names) - 1)))
        keys = [f"{i:0{digits}d}.signed_defocus_px" for i in range(len(self.names))]
        for i, key in enumerate(keys if defocus else ()):
            put_map(staging, Map(self.frame_maps(i), "signed_defocus_px"), formats, key)
        made: dict[str, object] = {}
        if {"ply", "glb"} & set(formats):
            cloud = point_cloud(self.all_in_focus, self.inv_depth, self.unit, self.camera)
            made["point_cloud"] = put_points(staging, cloud, formats)
        put_picture(staging, "preview", PREVIEW_SUFFIX, self.preview())
        height, width = self.size
        frames = [
            {"name": name, "u_focus": u, "signed_defocus_px": key if defocus else None}
            for name, u, key in zip(self.names, self.u_focus, keys, strict=True)
        ]
        staging.put_facts(
            {
                "width_px": width,
                "height_px": height,
                "unit": self.unit,
                "kappa_px": self.kappa_px,
                "frames": frames,
                "reference": self.reference,
                "origin_px": list(self.origin_px),
                "left_out": [asdict(frame) for frame in self.left_out],
                "lens": self.lens.to_json(),
                "camera": asdict(self.camera),
                "measures": plain_json(self.measures),
                "notes": list(self.notes),
                **made,
            }
        )

    def preview(self) -> Image.Image:
        """The nearest frame, the farthest one, the all-in-focus image, inverse depth and confidence side by side."""
        size = panel_size(self.size)
        whole = self.prediction()
        depth, confidence = whole.fitted("inv_depth", size), whole.fitted("confidence", size)
        low, high = (float(value) for value in np.percentile(depth, [1, 99]))
        metric = self.unit == "1/m"
        ends = (f"{low:.3g} far", f"near {high:.3g}") if metric else ("far", "near")
        panels: list[Panel] = []
        for pixels, title in (
            (self.aligned[0], "nearest focus"),
            (self.aligned[-1], "farthest focus"),
            (self.all_in_focus, "all in focus"),
        ):
            picture = Image.fromarray(np.asarray(pixels)).resize(size, Image.Resampling.BOX, reducing_gap=2.0)
            panels.append((picture, (title, "", ""), None))
        shown = Image.fromarray(colours(depth, low, high, DEPTH_COLOURS))
        panels.append((shown, (f"inverse depth, {self.unit}", *ends), DEPTH_COLOURS))
        panels.append((Image.fromarray(colours(confidence, 0.0, 1.0, GREYS)), ("confidence", "0", "1"), GREYS))
        return side_by_side(panels)


@dataclass(frozen=True, slots=True)
class FrameMaps:
    """The maps of one frame, a few rows at a time."""

    stack: StackResult
    u_focus: float

    @property
    def unit(self) -> InvDepthUnit:
        return self.stack.unit

    @property
    def size(self) -> tuple[int, int]:
        return self.stack.size

    def rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array:
        inv_depth = self.stack.inv_depth[start:stop]
        if quantity == "inv_depth":
            return inv_depth
        if quantity == "depth_m":
            return depth_m_of(inv_depth)
        if quantity == "confidence":
            return self.stack.confidence[start:stop]
        signed = signed_defocus_px(inv_depth, self.u_focus, self.stack.kappa_px)
        return np.asarray(signed if quantity == "signed_defocus_px" else np.abs(signed), dtype=np.float32)

    def error_rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array | None:
        """None: the error of a stack's maps is unknown."""
        return None
