"""ZEDD (Zuo, Wen, Subramanian et al., "Zero-Shot Depth from Defocus", arXiv:2603.26658): 100 real focal stacks with
dense depth.

From the authors' page (huggingface.co/datasets, venkatsubra/ZEDD): a scene has 9 focus distances from 0.82 to 8.10 m at
apertures F1.4, F2.0, F2.8, F4.0, F5.6, and F16 as the all-in-focus photo, and a dense depth map of 1824 x 1216 pixels;
metres, CC BY 4.0. **The names of the files are not known to us**; the layout below is a guess at them and unverified. A
file ``zedd.json`` in the root replaces it:

    {"photo": "{scene}/{aperture}/{focus}.png", "sharp": "{scene}/F16/{focus}.png", "depth": "{scene}/depth.npy"}
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from mddnet.captures.manifest import path_inside
from mddnet.data.evenly import evenly
from mddnet.errors import CaptureError
from mddnet.evaluate.public_sets.files import inv_depth_from_depth_m, natural_order, read_rgb
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto
from mddnet.io.json_fields import read_json, shown
from mddnet.io.npy_file import read_npy

LAYOUT_FILE = "zedd.json"
LAYOUT = {"photo": "{scene}/{aperture}/{focus}.png", "sharp": "{scene}/F16/{focus}.png", "depth": "{scene}/depth.npy"}
FIELDS = ("scene", "aperture", "focus")
MEASURED_APERTURE = "F1.4"
FRAMES = 3
"""Frames of a scene that are measured, spread evenly over its focus distances."""


def _list(root: Path) -> SetListing:
    layout = _layout(root)
    pattern = _pattern(layout["photo"])
    glob = re.sub(r"\{\w+\}", "*", layout["photo"])
    by_scene: dict[str, list[tuple[Path, dict[str, str]]]] = {}
    for path in sorted(root.glob(glob), key=natural_order):
        match = pattern.fullmatch(path.relative_to(root).as_posix())
        if match is not None and match.groupdict().get("aperture", MEASURED_APERTURE) == MEASURED_APERTURE:
            by_scene.setdefault(match["scene"], []).append((path, match.groupdict()))
    if not by_scene:
        raise ZEDD.missing(root / layout["photo"], f"photos at {MEASURED_APERTURE}")
    items, failures = [], []
    for scene, frames in sorted(by_scene.items()):
        depth = root / layout["depth"].format(**frames[0][1])
        if not depth.is_file():
            failures.append((str(depth), "no such file; expected the depth map of the scene"))
            continue
        for k in evenly(len(frames), FRAMES):
            photo, values = frames[k]
            sharp = root / layout["sharp"].format(**values)
            items.append(_item(scene, photo, depth, sharp if sharp.is_file() else None))
    return SetListing(tuple(items), tuple(failures))


def _layout(root: Path) -> dict[str, str]:
    path = root / LAYOUT_FILE
    if not path.is_file():
        return LAYOUT
    given = read_json(path, f"expected such as {json.dumps(LAYOUT)}")
    if not isinstance(given, dict) or set(given) != set(LAYOUT) or not all(isinstance(v, str) for v in given.values()):
        raise CaptureError(
            f"{path}: {shown(given)}; expected the texts photo, sharp and depth, such as {json.dumps(LAYOUT)}"
        )
    of_photo = set(re.findall(r"\{(\w+)\}", given["photo"])) & set(FIELDS)
    for name, value in given.items():
        path_inside(root, value, path)
        unknown = set(re.findall(r"\{([^}]*)\}", value)) - (set(FIELDS) if name == "photo" else of_photo)
        braces = set(re.sub(r"\{[^{}]*\}", "", value)) & set("{}*?[]")
        if unknown or braces or "{scene}" not in value:
            raise CaptureError(f"{path}: {name} is {shown(value)}; expected {{scene}} and of {FIELDS} no other field")
    return given


def _pattern(photo: str) -> re.Pattern[str]:
    """Of a layout, each field a part of a path; a field that occurs again must be the same."""
    seen: set[str] = set()

    def field(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>[^/]+)"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", field, re.escape(photo)))


def _item(scene: str, photo: Path, depth: Path, sharp: Path | None) -> SetItem:
    def load() -> SetPhoto:
        depth_m = read_npy(depth, "f", "(H, W) floats, metres")
        if depth_m.ndim != 2:
            raise CaptureError(f"{depth}: {depth_m.shape} {depth_m.dtype}; expected (H, W) floats, metres")
        inv_depth = inv_depth_from_depth_m(np.asarray(depth_m, dtype=np.float64))
        nearest = float(np.nanmax(inv_depth)) if np.isfinite(inv_depth).any() else 0.0
        if nearest and nearest < 1e-2:
            raise CaptureError(f"{depth}: the nearest depth is {1 / nearest:g}; expected metres, not millimetres")
        return SetPhoto(read_rgb(photo), inv_depth, "1/m", sharp=None if sharp is None else read_rgb(sharp))

    return SetItem(f"{scene}/{photo.stem}", "scenes", load)


ZEDD = PublicSet(
    name="zedd",
    title="ZEDD",
    source="Zuo, Wen, Subramanian et al., arXiv:2603.26658; the set venkatsubra/ZEDD on Hugging Face",
    obtain="download the set venkatsubra/ZEDD from Hugging Face; where its names differ from these, say them in "
    "zedd.json (docs/public-sets.md)",
    licence="CC BY 4.0",
    expects="  SCENE/F1.4/FOCUS.png   (and F2.0 ... F5.6)\n  SCENE/F16/FOCUS.png    (all in focus)\n"
    "  SCENE/depth.npy        (float32, metres)\n  or as zedd.json says",
    states=("inv_depth", "sharp"),
    protocol=Protocol("all pixels with a depth, of three frames of each scene at F1.4", None, None),
    basis="the page of the set: apertures, focus distances, unit and size; the names of files and folders are a guess",
    list_items=_list,
    unverified=True,
)
