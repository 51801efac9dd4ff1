"""Predictions on disk: one file per quantity and format, each saying its unit, and a ``.json`` with all the facts.

``<stem>.json`` is written first, as a claim on the stem, and again last, when everything else is there: a file whose
``complete`` is false belongs to a run that was interrupted. All files are written aside first; those of an earlier run
are replaced when all could be written, and meanwhile the ``.json`` says that they are not complete. Several processes
may save into one folder.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from mddnet.errors import MddnetError, OutputError
from mddnet.io.atomic import atomic_write_text
from mddnet.io.folder_lock import FolderLock
from mddnet.io.part_file import StagedFiles, writing_into
from mddnet.predict.enlarge import strips
from mddnet.predict.point_cloud import PointCloud, camera_of, glb_bytes, ply_bytes, predicted_points
from mddnet.predict.prediction import PredictedPhoto, Quantity
from mddnet.predict.view import PreviewRange, preview, preview_range
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
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
_Put = Callable[[Path, Callable[[BinaryIO], object]], None]
"""Takes a file's place and what writes it."""
LEVELS_16_BIT = 65535
LOCK_PATIENCE_S = 60.0
"""How long to wait while others take names or put files in their places, which takes milliseconds."""
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
    prediction: PredictedPhoto,
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
        prediction: what to write; of a :class:`~mddnet.predict.prediction.CompactPrediction` only a few rows of a map
            are in memory at a time (but for ``png`` and ``exr``, whose libraries want a whole map).
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
    source = source_of(photo)
    try:
        with writing_into(folder), StagedFiles() as staged:
            folder.mkdir(parents=True, exist_ok=True)
            with FolderLock(folder, "predict", LOCK_PATIENCE_S):
                stem = _claimed_stem(folder, stem, source)
            written = _write(prediction, folder, stem, tuple(dict.fromkeys(formats)), fixed_range, staged.write)
            with FolderLock(folder, "predict", LOCK_PATIENCE_S):
                atomic_write_text(written["facts"], _claim(source))
                # An earlier run may have known more of the lens, or written other formats: they belong to other maps.
                for ending in _RESULT_ENDINGS:
                    earlier = folder / (stem + ending)
                    if earlier not in written.values():
                        earlier.unlink(missing_ok=True)
                staged.commit()
            return written
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot write results ({error}); choose another folder") from error


def source_of(photo: Photo) -> str:
    """What tells one photo from another: its absolute path, or a digest of its pixels where it has none."""
    if photo.path is not None:
        return str(photo.path.resolve())
    return "pixels:" + hashlib.blake2b(photo.pixels.tobytes(), digest_size=16).hexdigest()


def content_of(path: Path | None) -> str | None:
    """A digest of what is in a photo's file, by which a changed photo is known whatever its name and date.

    None where there is no such file.
    """
    if path is None:
        return None
    try:
        found = path.stat()
        return _digest(path, found.st_mtime_ns, found.st_size)
    except OSError:
        return None


@lru_cache(maxsize=4)
def _digest(path: Path, changed_ns: int, size: int) -> str:
    """The digest of a file; asked again for every frame of a video, it is read once."""
    with path.open("rb") as stream:
        return "blake2b:" + hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@dataclass(frozen=True, slots=True)
class SavedFacts:
    """What the ``.json`` of a saved prediction says of its origin."""

    path: Path
    source: str
    complete: bool
    model: str
    model_version: str
    lens: Lens
    content: str | None
    fine: bool


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
            data.get("content"),
            bool(data.get("fine", False)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def is_output_name(name: str) -> bool:
    """Whether a file name is one that :func:`save` writes, so that results are not taken for photos."""
    return name.endswith((*_RESULT_ENDINGS, PREVIEW_SUFFIX))


def _stems(stem: str) -> itertools.chain[str]:
    return itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))


def claim_stem(folder: Path, photo_path: Path, stem: str | None = None) -> str:
    """Take the stem that results of a photo will have, before they are written: numbers follow the order of claims.

    Args:
        folder: of the results; made if it is missing.
        photo_path: the photo.
        stem: of the results if it is not the photo's, as for a frame of a video.

    Raises:
        MddnetError: if the folder cannot be made or written.
    """
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder, "predict", LOCK_PATIENCE_S):
            return _claimed_stem(folder, stem or photo_path.stem, str(photo_path.resolve()))


def _claim(source: str) -> str:
    """What the ``.json`` says as long as the other files are not all in their places."""
    return json.dumps({"mddnet_prediction": OUTPUT_FORMAT, "source": source, "complete": False}) + "\n"


def _claimed_stem(folder: Path, stem: str, source: str) -> str:
    """The first of stem, stem_2, ... that is free or belongs to the same source; it is taken by creating its .json."""
    for name in _stems(stem):
        path = folder / (name + FACTS_SUFFIX)
        others = [folder / (name + ending) for ending in (*_RESULT_ENDINGS, PREVIEW_SUFFIX)]
        if path.exists():
            facts = read_facts(path)
            if facts is not None and facts.source == source:
                return name
        elif not any(other.exists() for other in others):
            atomic_write_text(path, _claim(source))
            return name
    raise AssertionError("unreachable: the numbers do not end")


def _write(
    prediction: PredictedPhoto,
    folder: Path,
    stem: str,
    formats: Sequence[SaveFormat],
    fixed_range: PreviewRange | None,
    put: _Put,
) -> dict[str, Path]:
    meanings: dict[Quantity, dict[str, object]] = {
        "inv_depth": {"unit": prediction.unit, "larger": "nearer"},
        "defocus_px": {"unit": "px", "meaning": "diameter of the circle of confusion"},
        "signed_defocus_px": {"unit": "px", "positive": "behind the plane of focus"},
        "confidence": {"unit": "1", "meaning": "agreement with lens law and texture"},
        "depth_m": {"unit": "m", "meaning": "z-depth from the principal plane"},
        "depth_error_m": {"unit": "m", "meaning": "what depth_m may be off by: one standard error"},
    }
    maps = [_Map(prediction, quantity, {"quantity": quantity, **meanings[quantity]}) for quantity in QUANTITIES]
    maps = [one for one in maps if one.quantity in prediction.quantities]
    written: dict[str, Path] = {}
    codes: dict[str, dict[str, float]] = {}
    made: dict[str, object] = {}
    if "mask" in formats:
        written[MASK] = folder / first_file(stem, "mask")
        made[MASK] = _write_mask(written[MASK], _Map(prediction, "defocus_px", {}), put)
    wanted_points = [name for name in POINT_FORMATS if name in formats]
    if wanted_points:
        cloud = predicted_points(prediction)
        made["point_cloud"] = cloud.to_json()
        for file_format in wanted_points:
            written[f"points.{file_format}"] = folder / first_file(stem, file_format)
            put(written[f"points.{file_format}"], partial(_write_points, cloud, POINT_FORMATS[file_format]))
    for file_format in [name for name in formats if name not in ("mask", *POINT_FORMATS)]:
        for one in maps:
            quantity = one.quantity
            path = folder / map_name(stem, quantity, file_format)
            if file_format == "npy":
                _write_npy(path, one, put)
            elif file_format == "png":
                codes[quantity] = _write_png(path, one, put)
            elif file_format == "exr":
                _write_exr(path, one, put)
            else:
                _write_tiff(path, one, put)
            written[quantity if quantity not in written else f"{quantity}.{file_format}"] = path
    written["preview"] = folder / (stem + PREVIEW_SUFFIX)
    colour_range = fixed_range or preview_range(prediction)
    picture = preview(prediction, colour_range)
    put(written["preview"], lambda stream: picture.save(stream, format="PNG", compress_level=1))
    facts = _facts(prediction, written) | made
    facts["preview_range"] = {**asdict(colour_range), "fixed": fixed_range is not None}
    if codes:
        facts["png_codes"] = codes
    written["facts"] = folder / (stem + FACTS_SUFFIX)
    text = json.dumps(facts, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    put(written["facts"], lambda stream: stream.write(text.encode()))
    return written


@dataclass(frozen=True, slots=True)
class _Map:
    """One map of a prediction, read a few rows at a time."""

    prediction: PredictedPhoto
    quantity: Quantity
    description: Mapping[str, object]

    def strips(self) -> Iterator[Float32Array]:
        """Its rows, in strips from the top."""
        for start, stop in strips(self.prediction.size[0]):
            yield self.prediction.rows(self.quantity, start, stop)

    def extremes(self) -> tuple[float, float]:
        """Its smallest and largest value."""
        ends = [(float(strip.min()), float(strip.max())) for strip in self.strips()]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def encoded(self, code: Callable[[Float32Array], NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
        """The whole map, each strip as ``code`` makes it."""
        whole = np.empty(self.prediction.size, dtype=dtype)
        for (start, stop), strip in zip(strips(len(whole)), self.strips(), strict=True):
            whole[start:stop] = code(strip)
        return whole


def _write_tiff(path: Path, one: _Map, put: _Put) -> None:
    if one.quantity == "confidence":
        _write_tiff_strips(path, one, _confidence_bytes, np.uint8, {**one.description, "scale": 1 / 255}, put)
    else:
        _write_tiff_strips(path, one, lambda values: values, np.float32, one.description, put)


def _write_tiff_strips(
    path: Path,
    one: _Map,
    code: Callable[[Float32Array], NDArray[Any]],
    dtype: type[np.generic],
    description: Mapping[str, object],
    put: _Put,
) -> None:
    text = json.dumps({"mddnet": __version__, **description})

    def write(stream: BinaryIO) -> None:
        # metadata=None keeps tifffile from replacing the description by its own.
        # Uncompressed: deflate saves a tenth of such floats and takes a second for 12 megapixels instead of 10 ms.
        # Without data, tifffile leaves room for them and says where it is.
        place = tifffile.imwrite(
            stream,
            shape=one.prediction.size,
            dtype=dtype,
            byteorder="<",
            photometric="minisblack",
            description=text,
            metadata=None,
            software="mddnet",
            returnoffset=True,
        )
        assert place is not None
        stream.seek(place[0])
        for strip in one.strips():
            stream.write(np.ascontiguousarray(code(strip), dtype=np.dtype(dtype).newbyteorder("<")).tobytes())

    put(path, write)


def _confidence_bytes(confidence: Float32Array) -> UInt8Array:
    return np.rint(confidence * np.float32(255)).astype(np.uint8)


def _write_png(path: Path, one: _Map, put: _Put) -> dict[str, float]:
    """Write a map as codes of 16 bits (confidence 8), and give offset and scale: value = offset + scale * code."""
    if one.quantity == "confidence":
        offset, scale = 0.0, 1 / 255
        picture = Image.fromarray(one.encoded(_confidence_bytes, np.uint8))
    else:
        offset, high = one.extremes()
        scale = (high - offset) / LEVELS_16_BIT if high > offset else 1.0
        codes = one.encoded(lambda values: np.rint((values.astype(np.float64) - offset) / scale), np.uint16)
        picture = Image.fromarray(codes)
    code = {"offset": offset, "scale": scale}
    text = PngImagePlugin.PngInfo()
    text.add_text("mddnet", json.dumps({"mddnet": __version__, **one.description, **code}))
    put(path, lambda stream: picture.save(stream, format="PNG", pnginfo=text, compress_level=1))
    return code


def _write_exr(path: Path, one: _Map, put: _Put) -> None:
    """Write a map as one channel; "Y" is the one that every reader shows, whatever the quantity."""
    import OpenEXR  # of the extra `formats`

    header = {
        # ZIP takes seconds for 12 megapixels of floats, and saves little.
        "compression": OpenEXR.NO_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "quantity": one.quantity,
        "unit": str(one.description["unit"]),
        "mddnet": json.dumps({"mddnet": __version__, **one.description}),
    }
    values = one.encoded(lambda strip: strip, np.float32)
    put(path, lambda stream: OpenEXR.File(header, {"Y": values}).write(stream))


def _write_points(cloud: PointCloud, encoded: Callable[[PointCloud], bytes], stream: BinaryIO) -> None:
    stream.write(encoded(cloud))


def _write_mask(path: Path, one: _Map, put: _Put) -> dict[str, object]:
    """Write the CoC diameter as 16-bit codes and give their meaning: defocus_px = scale * code."""
    highest = one.extremes()[1]
    scale = highest / LEVELS_16_BIT if highest > 0 else 1.0
    meaning: dict[str, object] = {"quantity": "defocus_px", "unit": "px", "offset": 0.0, "scale": scale}
    description = {**meaning, "meaning": "black is sharp; value = scale * code"}
    _write_tiff_strips(
        path, one, lambda values: np.rint(values.astype(np.float64) / scale), np.uint16, description, put
    )
    return meaning


def _write_npy(path: Path, one: _Map, put: _Put) -> None:
    def write(stream: BinaryIO) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": one.prediction.size}
        np.lib.format.write_array_header_1_0(stream, header)
        for strip in one.strips():
            stream.write(np.ascontiguousarray(strip, dtype="<f4").tobytes())

    put(path, write)


def _facts(prediction: PredictedPhoto, written: Mapping[str, Path]) -> dict[str, object]:
    height, width = prediction.size
    focus, sharp = prediction.focus, prediction.depth_of_field
    return {
        "mddnet_prediction": OUTPUT_FORMAT,
        "mddnet": __version__,
        "source": source_of(prediction.photo),
        "content": content_of(prediction.photo.path),
        "complete": True,
        "width_px": width,
        "height_px": height,
        "model": {"name": prediction.model, "version": prediction.model_version},
        "fine": prediction.fine,
        "unit": prediction.unit,
        "focus": {
            "found": focus.found,
            "u_focus": focus.u_focus if focus.found else None,
            "kappa_px": focus.kappa_px if focus.found else None,
            "residual_px": focus.residual_px,
            "reason": focus.reason,
        },
        "depth_of_field": None if sharp is None else sharp.to_json(),
        "lens": prediction.lens.to_json(),
        "camera": camera_of(prediction).to_json(),
        "notes": list(prediction.notes),
        "files": {quantity: path.name for quantity, path in written.items()},
    }
