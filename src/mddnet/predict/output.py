"""Predictions on disk: one file per quantity and format, each saying its unit, and a ``.json`` with all the facts.

``<stem>.json`` is written first, as a claim on the stem, and again last, when everything else is there: a file whose
``complete`` is false belongs to a run that was interrupted.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from mddnet.errors import MddnetError
from mddnet.predict.point_cloud import PointCloud, camera_of, glb_bytes, ply_bytes, predicted_points
from mddnet.predict.prediction import Prediction
from mddnet.predict.view import PreviewRange, preview, preview_range
from mddnet.sets.store import atomic_write
from mddnet.types import Float32Array, Lens, Photo, UInt8Array
from mddnet.version import __version__

OUTPUT_FORMAT = 1
MapFormat = Literal["tiff", "png", "npy"]
MAP_FORMATS: tuple[MapFormat, ...] = get_args(MapFormat)
"""Formats of the maps that the base install writes."""
SaveFormat = Literal["tiff", "png", "npy", "exr", "mask", "ply", "glb"]
SAVE_FORMATS: tuple[SaveFormat, ...] = get_args(SaveFormat)
"""All formats: of the maps, of the defocus mask and of the point cloud."""
POINT_FORMATS: dict[SaveFormat, Callable[[PointCloud], bytes]] = {"ply": ply_bytes, "glb": glb_bytes}
MASK = "defocus_mask"
QUANTITIES = ("inv_depth", "depth_m", "defocus_px", "signed_defocus_px", "confidence")
LEVELS_16_BIT = 65535
PREVIEW_SUFFIX = ".preview.png"
FACTS_SUFFIX = ".json"


def map_name(stem: str, quantity: str, file_format: str) -> str:
    """File name of a map: ``cup.defocus_px.tiff``."""
    return f"{stem}.{quantity}.{file_format}"


def first_file(stem: str, file_format: SaveFormat) -> str:
    """Name of the first file that :func:`save` writes in a format."""
    if file_format == "mask":
        return map_name(stem, MASK, "tiff")
    return map_name(stem, "points" if file_format in POINT_FORMATS else "inv_depth", file_format)


_RESULT_ENDINGS = (
    *(map_name("", quantity, name) for quantity in QUANTITIES for name in (*MAP_FORMATS, "exr")),
    *(first_file("", name) for name in SAVE_FORMATS if name == "mask" or name in POINT_FORMATS),
)


def require_formats(formats: Sequence[str]) -> None:
    """Check that formats can be written here, before work is done for them.

    Raises:
        MddnetError: for no format, an unknown one, or one whose package is missing, naming the extra that brings it.
    """
    unknown = [name for name in formats if name not in SAVE_FORMATS]
    if unknown or not formats:
        raise MddnetError(f"formats {', '.join(formats) or 'none'}: expected some of {', '.join(SAVE_FORMATS)}")
    if "exr" in formats:
        try:
            importlib.import_module("OpenEXR")
        except ImportError as error:
            raise MddnetError(f"format exr: {error}; pip install 'mddnet[formats]'") from error


def save(
    prediction: Prediction,
    folder: Path,
    stem: str | None = None,
    formats: Sequence[SaveFormat] = ("tiff",),
    fixed_range: PreviewRange | None = None,
) -> dict[str, Path]:
    """Write the maps, a preview and the facts of a prediction.

    Formats of the maps:

    - ``tiff``: float32, the unit in the description; confidence 8-bit.
    - ``png``: 16-bit grey, ``value = offset + scale * code``, with offset, scale and unit in the file (text chunk
      ``mddnet``) and in the ``.json``; confidence 8-bit.
    - ``npy``: float32, NumPy's own format.
    - ``exr``: float32, channel ``Y``, quantity and unit as attributes; needs the extra ``formats``.

    Made from them:

    - ``mask``: the CoC diameter as a 16-bit grey TIFF for programs of photographers, its scale in the file.
    - ``ply``, ``glb``: the photo as points in space, in metres where the unit is ``"1/m"``.

    ``cup.jpg`` becomes ``cup.inv_depth.tiff`` and so on; if those belong to another photo, ``cup_2.inv_depth.tiff``.
    Saving the same photo again replaces its own files.

    Args:
        prediction: what to write.
        folder: made if it is missing.
        stem: name before the suffixes; by default that of the photo's file, or ``image``.
        formats: of :data:`SAVE_FORMATS`, at least one.
        fixed_range: what the colours of the preview reach from and to; None is a range of its own.

    Returns:
        The files: the maps of the first format by quantity, those of others as ``"inv_depth.png"`` and so on,
        ``"defocus_mask"``, ``"points.ply"``, ``"points.glb"``, ``"preview"`` and ``"facts"``.

    Raises:
        MddnetError: for an unknown format or one whose package is missing, or if the folder cannot be made or a file
            cannot be written.
    """
    require_formats(formats)
    if stem is not None and (not stem or Path(stem).name != stem or stem in {".", ".."}):
        raise MddnetError(f"stem {stem!r}: expected a plain file name without a folder")
    photo = prediction.photo
    if stem is None:
        stem = photo.path.stem if photo.path is not None else "image"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stem = _claimed_stem(folder, stem, source_of(photo))
        return _write(prediction, folder, stem, tuple(dict.fromkeys(formats)), fixed_range)
    except OSError as error:
        raise MddnetError(f"{folder}: cannot write results ({error}); choose another folder or make room") from error


def source_of(photo: Photo) -> str:
    """What tells one photo from another: its absolute path, or a digest of its pixels where it has none."""
    if photo.path is not None:
        return str(photo.path.resolve())
    return "pixels:" + hashlib.blake2b(photo.pixels.tobytes(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class SavedFacts:
    """What the ``.json`` of a saved prediction says of its origin."""

    path: Path
    source: str
    complete: bool
    model: str
    model_version: str
    lens: Lens


def find_saved(folder: Path, photo_path: Path, stem: str | None = None) -> SavedFacts | None:
    """The facts of an earlier prediction of that photo in the folder, under its own stem or a numbered one."""
    for name in _stems(photo_path.stem if stem is None else stem):
        path = folder / (name + FACTS_SUFFIX)
        if not path.exists():
            return None
        facts = read_facts(path)
        if facts is not None and facts.source == str(photo_path.resolve()):
            return facts
    return None


def read_facts(path: Path) -> SavedFacts | None:
    """The facts in a ``.json`` of :func:`save`; None for any other file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["mddnet_prediction"] != OUTPUT_FORMAT:
            return None
        model = data.get("model") or {"name": "", "version": ""}
        return SavedFacts(
            path,
            str(data["source"]),
            bool(data["complete"]),
            str(model["name"]),
            str(model["version"]),
            Lens.from_json(data.get("lens", {})),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_output_name(name: str) -> bool:
    """Whether a file name is one that :func:`save` writes, so that results are not taken for photos."""
    return name.endswith((*_RESULT_ENDINGS, PREVIEW_SUFFIX))


def _stems(stem: str) -> itertools.chain[str]:
    return itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))


def _claimed_stem(folder: Path, stem: str, source: str) -> str:
    """The first of stem, stem_2, ... that is free or belongs to the same source; it is taken by creating its .json."""
    claim = json.dumps({"mddnet_prediction": OUTPUT_FORMAT, "source": source, "complete": False}) + "\n"
    for name in _stems(stem):
        path = folder / (name + FACTS_SUFFIX)
        others = [folder / (name + ending) for ending in (*_RESULT_ENDINGS, PREVIEW_SUFFIX)]
        if not path.exists() and any(other.exists() for other in others):
            continue
        try:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(claim)
            return name
        except FileExistsError:
            facts = read_facts(path)
            if facts is not None and facts.source == source:
                return name
    raise AssertionError("unreachable: the numbers do not end")


def _write(
    prediction: Prediction,
    folder: Path,
    stem: str,
    formats: Sequence[SaveFormat],
    fixed_range: PreviewRange | None,
) -> dict[str, Path]:
    maps: dict[str, tuple[Float32Array, dict[str, object]]] = {
        "inv_depth": (prediction.inv_depth, {"unit": prediction.unit, "larger": "nearer"}),
        "defocus_px": (prediction.defocus_px, {"unit": "px", "meaning": "diameter of the circle of confusion"}),
        "signed_defocus_px": (prediction.signed_defocus_px, {"unit": "px", "positive": "behind the plane of focus"}),
        "confidence": (prediction.confidence, {"unit": "1", "meaning": "agreement with lens law and texture"}),
    }
    if prediction.depth_m is not None:
        maps["depth_m"] = (prediction.depth_m, {"unit": "m", "meaning": "z-depth from the principal plane"})
    written: dict[str, Path] = {}
    codes: dict[str, dict[str, float]] = {}
    made: dict[str, object] = {}
    if "mask" in formats:
        written[MASK] = folder / first_file(stem, "mask")
        made[MASK] = _write_mask(written[MASK], prediction.defocus_px)
    wanted_points = [name for name in POINT_FORMATS if name in formats]
    if wanted_points:
        cloud = predicted_points(prediction)
        made["point_cloud"] = cloud.to_json()
        for file_format in wanted_points:
            written[f"points.{file_format}"] = folder / first_file(stem, file_format)
            atomic_write(written[f"points.{file_format}"], partial(_write_points, cloud, POINT_FORMATS[file_format]))
    for file_format in [name for name in formats if name not in ("mask", *POINT_FORMATS)]:
        for quantity, (values, meaning) in maps.items():
            path = folder / map_name(stem, quantity, file_format)
            description = {"quantity": quantity, **meaning}
            if file_format == "npy":
                _write_npy(path, values)
            elif file_format == "png":
                codes[quantity] = _write_png(path, values, description)
            elif file_format == "exr":
                _write_exr(path, values, description)
            else:
                _write_tiff(path, values, description)
            written[quantity if quantity not in written else f"{quantity}.{file_format}"] = path
    # An earlier run may have known more of the lens, or written other formats: they would belong to other maps.
    for ending in _RESULT_ENDINGS:
        earlier = folder / (stem + ending)
        if earlier not in written.values():
            earlier.unlink(missing_ok=True)
    written["preview"] = folder / (stem + PREVIEW_SUFFIX)
    colour_range = fixed_range or preview_range(prediction)
    picture = preview(prediction, colour_range)
    atomic_write(written["preview"], lambda stream: picture.save(stream, format="PNG", compress_level=1))
    facts = _facts(prediction, written) | made
    facts["preview_range"] = {**asdict(colour_range), "fixed": fixed_range is not None}
    if codes:
        facts["png_codes"] = codes
    written["facts"] = folder / (stem + FACTS_SUFFIX)
    text = json.dumps(facts, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    atomic_write(written["facts"], lambda stream: stream.write(text.encode()))
    return written


def _write_tiff(path: Path, values: Float32Array, description: Mapping[str, object]) -> None:
    samples: NDArray[Any] = values
    if description["quantity"] == "confidence":
        samples, description = _confidence_bytes(values), {**description, "scale": 1 / 255}
    text = json.dumps({"mddnet": __version__, **description})

    def write(stream: BinaryIO) -> None:
        # metadata=None keeps tifffile from replacing the description by its own.
        # Uncompressed: deflate saves a tenth of such floats and takes a second for 12 megapixels instead of 10 ms.
        tifffile.imwrite(stream, samples, photometric="minisblack", description=text, metadata=None, software="mddnet")

    atomic_write(path, write)


def _confidence_bytes(confidence: Float32Array) -> UInt8Array:
    return np.rint(confidence * np.float32(255)).astype(np.uint8)


def _write_png(path: Path, values: Float32Array, description: Mapping[str, object]) -> dict[str, float]:
    """Write a map as codes of 16 bits (confidence 8), and give offset and scale: value = offset + scale * code."""
    if description["quantity"] == "confidence":
        offset, scale = 0.0, 1 / 255
        picture = Image.fromarray(_confidence_bytes(values))
    else:
        offset, high = float(values.min()), float(values.max())
        scale = (high - offset) / LEVELS_16_BIT if high > offset else 1.0
        picture = Image.fromarray(np.rint((values.astype(np.float64) - offset) / scale).astype(np.uint16))
    code = {"offset": offset, "scale": scale}
    text = PngImagePlugin.PngInfo()
    text.add_text("mddnet", json.dumps({"mddnet": __version__, **description, **code}))
    atomic_write(path, lambda stream: picture.save(stream, format="PNG", pnginfo=text, compress_level=1))
    return code


def _write_exr(path: Path, values: Float32Array, description: Mapping[str, object]) -> None:
    """Write a map as one channel; "Y" is the one that every reader shows, whatever the quantity."""
    import OpenEXR  # of the extra `formats`

    header = {
        # ZIP takes seconds for 12 megapixels of floats, and saves little.
        "compression": OpenEXR.NO_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "quantity": str(description["quantity"]),
        "unit": str(description["unit"]),
        "mddnet": json.dumps({"mddnet": __version__, **description}),
    }
    atomic_write(path, lambda stream: OpenEXR.File(header, {"Y": np.ascontiguousarray(values)}).write(stream))


def _write_points(cloud: PointCloud, encoded: Callable[[PointCloud], bytes], stream: BinaryIO) -> None:
    stream.write(encoded(cloud))


def _write_mask(path: Path, defocus_px: Float32Array) -> dict[str, object]:
    """Write the CoC diameter as 16-bit codes and give their meaning: defocus_px = scale * code."""
    highest = float(defocus_px.max())
    scale = highest / LEVELS_16_BIT if highest > 0 else 1.0
    codes = np.rint(defocus_px.astype(np.float64) / scale).astype(np.uint16)
    meaning = {"quantity": "defocus_px", "unit": "px", "offset": 0.0, "scale": scale}
    text = json.dumps({"mddnet": __version__, **meaning, "meaning": "black is sharp; value = scale * code"})

    def write(stream: BinaryIO) -> None:
        tifffile.imwrite(stream, codes, photometric="minisblack", description=text, metadata=None, software="mddnet")

    atomic_write(path, write)
    return meaning


def _write_npy(path: Path, values: Float32Array) -> None:
    atomic_write(path, lambda stream: np.save(stream, values, allow_pickle=False))


def _facts(prediction: Prediction, written: Mapping[str, Path]) -> dict[str, object]:
    height, width = prediction.inv_depth.shape
    focus = prediction.focus
    return {
        "mddnet_prediction": OUTPUT_FORMAT,
        "mddnet": __version__,
        "source": source_of(prediction.photo),
        "complete": True,
        "width_px": width,
        "height_px": height,
        "model": {"name": prediction.model, "version": prediction.model_version},
        "unit": prediction.unit,
        "focus": {
            "found": focus.found,
            "u_focus": focus.u_focus if focus.found else None,
            "kappa_px": focus.kappa_px if focus.found else None,
            "residual_px": focus.residual_px,
            "reason": focus.reason,
        },
        "lens": prediction.lens.to_json(),
        "camera": camera_of(prediction).to_json(),
        "notes": list(prediction.notes),
        "files": {quantity: path.name for quantity, path in written.items()},
    }
