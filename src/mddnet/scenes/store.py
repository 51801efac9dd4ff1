"""The scene store: a folder per scene with ``scene.json``, the sharp image, a 16-bit inverse depth map and frames.

CONVENTIONS.md describes the files, and the 16-bit codec of the map.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image, PngImagePlugin

from mddnet.captures.description import CaptureDescription
from mddnet.captures.kind import ListedCapture
from mddnet.errors import CaptureError
from mddnet.io.atomic import atomic_write, atomic_write_text
from mddnet.io.json_fields import display, is_plain_name, read_json_object
from mddnet.photo.image_file import opened_image
from mddnet.types import INV_DEPTH_UNITS, Float32Array, FrameRecord, InvDepthUnit, Lens, SceneRecord, UInt8Array

SCENE_FORMAT = 1
CODE_UNKNOWN = 0
CODE_INFINITY = 1
CODE_FIRST = 2
CODE_LAST = 65535
CODE_TYPES = (np.uint16, np.int32)  # types that Pillow returns for 16-bit grey
LARGEST_VALUE = 1e28  # limit of low and step that keeps all values in the range of float32

ALLOWED = {"format": (SCENE_FORMAT,), "unit": INV_DEPTH_UNITS, "provenance": ("real", "rendered", "pseudo")}
"""Values of fields of ``scene.json``."""
WRONG_FIELDS = (KeyError, TypeError, AttributeError, ValueError, OverflowError)
"""Exceptions of reading fields from JSON with other content."""
BUILD_AGAIN = "build the scene again"


@dataclass(frozen=True, slots=True)
class CodedMap:
    """A decoded 16-bit map: (H, W) float32 values in a unit, NaN where unknown, with the scale of their codes."""

    values: Float32Array
    unit: str
    low: float
    step: float


def write_inv_depth(path: Path, inv_depth: Float32Array, unit: InvDepthUnit) -> float:
    """Write (H, W) inverse depth as a 16-bit PNG (NaN is unknown, -inf infinitely far); returns the step."""
    u = np.asarray(inv_depth, dtype=np.float64)
    if u.ndim != 2:
        raise ValueError(f"inverse depth has shape {u.shape}; expected (H, W)")
    if unit not in INV_DEPTH_UNITS:
        raise ValueError(f"unit {unit!r}; expected one of {', '.join(INV_DEPTH_UNITS)}")
    if np.isposinf(u).any():
        raise ValueError("inverse depth holds +inf (zero distance); expected finite values, NaN or -inf")
    finite = np.isfinite(u)
    low = float(u[finite].min()) if finite.any() else 0.0
    high = float(u[finite].max()) if finite.any() else 0.0
    step = (high - low) / (CODE_LAST - CODE_FIRST) if high > low else 1.0
    codes = np.full(u.shape, CODE_UNKNOWN, dtype=np.uint16)
    codes[np.isneginf(u)] = CODE_INFINITY
    codes[finite] = np.rint((u[finite] - low) / step).astype(np.uint16) + CODE_FIRST
    info = PngImagePlugin.PngInfo()
    info.add_text("mddnet", json.dumps({"quantity": "inv_depth", "unit": unit, "low": low, "step": step}))
    atomic_write(path, lambda stream: Image.fromarray(codes).save(stream, format="PNG", pnginfo=info))
    return step


def read_coded_map(file: Path | BinaryIO, quantity: str, fix: str, name: str | None = None) -> CodedMap:
    """Read a 16-bit map of ``quantity`` with its scale; ``fix`` ends error messages, ``name`` defaults to the path."""
    name = str(file) if name is None else name
    with opened_image(file, fix, name=name, what="16-bit PNG") as image:
        text = image.info.get("mddnet")
        codes = np.asarray(image)
    try:
        meta = json.loads(text) if isinstance(text, str) else {}
        low, step, unit = float(meta["low"]), float(meta["step"]), str(meta["unit"])
        infinity = float(meta.get("infinity", 0.0 if unit == "1/m" else low))
        stated = meta.get("quantity", quantity)
    except (*WRONG_FIELDS, RecursionError) as error:
        raise CaptureError(f"{name}: the PNG has no mddnet scale (tEXt 'mddnet'); {fix}") from error
    if stated != quantity or codes.ndim != 2 or codes.dtype not in CODE_TYPES:
        raise CaptureError(
            f"{name}: {display(stated)}, {codes.dtype} of shape {codes.shape}; expected a 16-bit map of {quantity}"
        )
    if not all(abs(number) < LARGEST_VALUE for number in (low, step, infinity)):
        raise CaptureError(
            f"{name}: low {low}, step {step}, infinity {infinity}; expected numbers below {LARGEST_VALUE:g}"
        )
    values = low + (codes.astype(np.float64) - CODE_FIRST) * step
    values[codes == CODE_INFINITY] = infinity
    values[codes == CODE_UNKNOWN] = np.nan
    return CodedMap(values.astype(np.float32), unit, low, step)


def read_inv_depth(path: Path) -> Float32Array:
    """Read (H, W) float32 of :func:`write_inv_depth`; CaptureError if it is damaged or without scale.

    NaN is unknown; infinity is 0 for ``1/m`` and the lowest value otherwise.
    """
    found = read_coded_map(path, "inv_depth", BUILD_AGAIN)
    if found.unit not in INV_DEPTH_UNITS or not found.step > 0:
        raise CaptureError(
            f"{path}: unit {display(found.unit)}, step {found.step}; expected a step above 0 and one of "
            f"{', '.join(INV_DEPTH_UNITS)}"
        )
    return found.values


def write_image(path: Path, image: UInt8Array | bytes, quality: int = 95) -> None:
    """Write an 8-bit image, (H, W, 3) or (H, W), as PNG or JPEG (4:4:4, since colour fringes are a cue) by suffix.

    The bytes of an encoded image are written as they are.
    """
    if isinstance(image, bytes):
        return atomic_write(path, lambda stream: stream.write(image))
    picture = Image.fromarray(image)
    jpeg = {"format": "JPEG", "quality": quality, "subsampling": 0}
    options: dict[str, Any] = {"format": "PNG"} if path.suffix == ".png" else jpeg
    return atomic_write(path, lambda stream: picture.save(stream, **options))


def read_image(path: Path) -> UInt8Array:
    """Read a stored image as (H, W, 3) uint8, sRGB; CaptureError if it is missing or damaged."""
    with opened_image(path, BUILD_AGAIN) as image:
        return np.asarray(image.convert("RGB"))


def read_confidence(folder: Path, record: SceneRecord) -> Float32Array | None:
    """The confidence of a scene's depth, (H, W) in 0..1, or None without one; CaptureError if it is damaged."""
    if record.confidence is None:
        return None
    with opened_image(folder / record.confidence, BUILD_AGAIN) as image:
        return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255.0)


def write_scene_json(folder: Path, record: SceneRecord) -> None:
    """Write ``scene.json``; must be the last file, since it marks the scene as complete."""
    fields = {"place" if name == "location" else name: value for name, value in asdict(record).items()}
    data = {"format": SCENE_FORMAT, **fields, "lens": record.lens.to_json()}
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    atomic_write_text(folder / "scene.json", text)


def write_scene(
    out_root: Path,
    capture: CaptureDescription | ListedCapture,
    kind: str,
    *,
    unit: InvDepthUnit,
    frames: Sequence[FrameRecord],
    images: Iterable[UInt8Array | bytes],
    sharp: UInt8Array,
    inv_depth: Float32Array,
    confidence: Float32Array | None = None,
    sharp_quality: int = 97,
    **fields: Any,
) -> SceneRecord:
    """Write the scene of a capture below ``out_root``, replacing an older one; ``scene.json`` is written last.

    ``images`` are those of ``frames``, encoded or uint8 sRGB like ``sharp``; maps are (H, W), the confidence in [0, 1].
    The frames are real and the remarks those of the capture, unless ``fields`` of the record say otherwise.
    """
    record = SceneRecord(
        name=capture.scene,
        location=capture.location,
        capture=kind,
        source=capture.source,
        licence=capture.licence,
        unit=unit,
        frames=frames,
        sharp="sharp.jpg",
        inv_depth="inv_depth.png",
        confidence=None if confidence is None else "confidence.png",
        **{"provenance": "real", "remarks": capture.remarks() if isinstance(capture, CaptureDescription) else ()}
        | fields,
    )
    folder = out_root / record.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for entry, image in zip(frames, images, strict=True):
        write_image(folder / entry.file, image)
    write_image(folder / record.sharp, sharp, sharp_quality)
    write_inv_depth(folder / record.inv_depth, inv_depth, unit)
    if confidence is not None:
        write_image(folder / "confidence.png", np.rint(confidence * 255).astype(np.uint8))
    write_scene_json(folder, record)
    return record


def _inside(folder: Path, name: object) -> str:
    """A plain file name inside the folder; anything else could reference other folders."""
    if not isinstance(name, str) or not is_plain_name(name):
        raise CaptureError(
            f"{folder / 'scene.json'}: file {display(name)}; expected a plain name inside the scene folder"
        )
    return name


def _frame(folder: Path, data: dict[str, object]) -> FrameRecord:
    u_focus, kappa_px = (float(cast(float, data[key])) for key in ("u_focus", "kappa_px"))
    if not (math.isfinite(u_focus) and math.isfinite(kappa_px) and kappa_px >= 0):
        raise CaptureError(
            f"{folder / 'scene.json'}: frame {display(data['file'])} has u_focus {u_focus}, kappa_px {kappa_px}; "
            "expected finite numbers and a kappa_px of 0 or more"
        )
    return FrameRecord(_inside(folder, data["file"]), u_focus, kappa_px)


def read_scene(folder: Path) -> SceneRecord:
    """Read ``scene.json`` of a scene folder; CaptureError names the field that is missing or wrong."""
    path = folder / "scene.json"
    data = read_json_object(path, "expected the fields of a scene record: build the scene again")
    try:
        for field, allowed in ALLOWED.items():
            if data[field] not in allowed:
                names = ", ".join(map(str, allowed))
                raise CaptureError(f"{path}: {field} {display(data[field])}; expected {names}: build the scene again")
        confidence = data.get("confidence")
        return SceneRecord(
            **{field: str(data[field]) for field in ("name", "capture", "source", "licence")},
            location=str(data["place"]),
            provenance=data["provenance"],
            unit=data["unit"],
            frames=[_frame(folder, frame) for frame in data["frames"]],
            sharp=_inside(folder, data["sharp"]),
            inv_depth=_inside(folder, data["inv_depth"]),
            confidence=None if confidence is None else _inside(folder, confidence),
            lens=Lens.from_json(data.get("lens", {})),
            measures={str(k): float(v) for k, v in data.get("measures", {}).items()},
            remarks=tuple(map(str, data.get("remarks", ()))),
        )
    except WRONG_FIELDS as error:
        raise CaptureError(
            f"{path}: {display(error)}; expected the fields of a scene record, see CONVENTIONS.md"
        ) from error


def list_scenes(root: Path) -> list[Path]:
    """Scene folders directly below ``root`` or one level deeper, sorted by name; CaptureError if there is none."""
    found = sorted(p.parent for pattern in ("*/scene.json", "*/*/scene.json") for p in root.glob(pattern))
    if not found:
        raise CaptureError(f"{root}: no scene (a folder with scene.json) in it; build scenes with `mddnet build`")
    return found
