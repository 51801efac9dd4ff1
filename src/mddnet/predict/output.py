"""Predictions on disk: one file per quantity and format, each with its unit, and a ``.json`` with all facts.

``<stem>.json`` is written first, as a claim on the stem, and again last, after all other files; ``complete`` is false
after an interrupted run. All files are first written to temporary files. They replace those of an earlier run when all
of them have been written; ``complete`` is false meanwhile. Several processes may save into one folder.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Literal, cast, get_args

import numpy as np
from PIL import Image

from mddnet.cores import worker_threads
from mddnet.errors import MddnetError, OutputError, install_hint
from mddnet.io.atomic import atomic_write_text
from mddnet.io.folder_lock import FolderLock
from mddnet.io.json_fields import MAX_NAME_BYTES
from mddnet.io.part_file import StagedFiles, writing_into
from mddnet.predict.film import require_film, write_film
from mddnet.predict.map_files import MAP_WRITERS, MEANINGS, Map, NetworkSize, write_mask, write_png
from mddnet.predict.point_cloud import (
    PointCloud,
    camera_of,
    glb_bytes,
    mesh_bytes,
    ply_bytes,
    predicted_mesh,
    predicted_points,
)
from mddnet.predict.prediction import Prediction, Quantity
from mddnet.predict.preview import PreviewRange, preview, preview_range
from mddnet.predict.views import CLIP_RATE, anaglyph, parallax_clip, side_by_side
from mddnet.types import Lens, Photo, UInt8Array
from mddnet.version import __version__

OUTPUT_FORMAT = 1
MapFormat = Literal["tiff", "png", "npy"]
MAP_FORMATS: tuple[MapFormat, ...] = get_args(MapFormat)  # formats of maps that the base install can write
SaveFormat = Literal[
    "tiff", "png", "npy", "exr", "mask", "depth", "ply", "glb", "mesh", "stereo", "anaglyph", "parallax", "preview"
]
SAVE_FORMATS: tuple[SaveFormat, ...] = get_args(SaveFormat)  # all formats: maps, files derived from them, no others
MapsAt = Literal["photo", "network"]
MAPS_AT: tuple[MapsAt, ...] = get_args(MapsAt)
POINT_FORMATS = {"ply": ply_bytes, "glb": glb_bytes}
MASK, DEPTH = "defocus_mask", "depth"
PREVIEW_SUFFIX = ".preview.png"
SHARP_SUFFIX = ".all_in_focus.png"
FILM_SUFFIX = ".preview.mp4"
FACTS_SUFFIX = ".json"
DERIVED_ENDINGS = {
    "mask": f".{MASK}.tiff",
    "depth": f".{DEPTH}.png",
    "ply": ".points.ply",
    "glb": ".points.glb",
    "mesh": ".mesh.glb",
    "stereo": ".stereo.jpg",
    "anaglyph": ".anaglyph.jpg",
    "parallax": ".parallax.mp4",
    "preview": PREVIEW_SUFFIX,
}
VIEW_QUALITY = 95  # of JPEG
DEPTH_PERCENTILES = (0.5, 99.5)  # black and white of the depth picture
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
WRITTEN: tuple[Quantity, ...] = tuple(name for name in QUANTITIES if name != "defocus_px")  # the size of the signed one
LOCK_PATIENCE_S = 60.0  # longest wait for other processes that hold the lock, usually for milliseconds


def map_name(stem: str, quantity: str, file_format: str) -> str:
    """File name of a map: ``cup.inv_depth.tiff``."""
    return f"{stem}.{quantity}.{file_format}"


def first_file(stem: str, file_format: SaveFormat) -> str:
    """Name of the first file that :func:`save` writes in a format."""
    ending = DERIVED_ENDINGS.get(file_format)
    return map_name(stem, "inv_depth", file_format) if ending is None else stem + ending


_RESULT_ENDINGS = (
    *(map_name("", quantity, name) for quantity in QUANTITIES for name in (*MAP_FORMATS, "exr")),
    *DERIVED_ENDINGS.values(),
    SHARP_SUFFIX,
    FILM_SUFFIX,
)


def is_output(path: Path, read: Callable[[Path], SavedFacts | None] | None = None) -> bool:
    """Whether a file is a map or picture of :func:`save`, as its ``.json`` states, which ``read`` may cache."""
    ending = next((ending for ending in _RESULT_ENDINGS if path.name.endswith(ending)), None)
    if ending is None:
        return False
    stem = path.name.removesuffix(ending)
    for name in (stem, stem.rpartition(".")[0]):  # the maps of the frames of a stack have a number after the stem
        facts = (read or read_facts)(path.with_name(name + FACTS_SUFFIX)) if name else None
        if facts is not None and (path.name in facts.files or (name == stem and not facts.files)):
            return True  # an interrupted run states no files
    return False


def check_stem(stem: str) -> None:
    """OutputError for a stem that is too long to add the endings of all results."""
    longest = max(len(ending) for ending in _RESULT_ENDINGS)
    most, found = MAX_NAME_BYTES - longest, len(os.fsencode(stem))
    if found > most:
        raise OutputError(f"a name of {found} bytes; expected at most {most}, so that endings fit: rename the photo")


def formats_of(formats: str | Sequence[str]) -> tuple[SaveFormat, ...]:
    """The formats of a list, or of a text with commas, each once; MddnetError for no or an unknown format."""
    names = [name.strip() for name in formats.split(",")] if isinstance(formats, str) else list(formats)
    if not names or not set(names).issubset(SAVE_FORMATS):
        raise MddnetError(f"formats {','.join(map(str, names)) or 'none'}: expected some of {','.join(SAVE_FORMATS)}")
    return cast(tuple[SaveFormat, ...], tuple(dict.fromkeys(names)))


def require_packages(formats: Sequence[SaveFormat]) -> None:
    """Raise a MddnetError for a format whose package is missing."""
    if "exr" in formats:
        try:
            importlib.import_module("OpenEXR")
        except ImportError as error:
            raise MddnetError(f"format exr: {error}; {install_hint('formats')}") from error
    if "parallax" in formats:
        require_film()


def save(
    prediction: Prediction,
    folder: Path,
    stem: str | None = None,
    formats: str | Sequence[SaveFormat] = ("tiff",),
    fixed_range: PreviewRange | None = None,
    *,
    full: bool = False,
    maps_at: MapsAt = "photo",
    writers: int = 1,
) -> dict[str, Path]:
    """Write the maps, a preview and the facts of a prediction.

    The formats are those of ``mddnet predict --formats``, which docs/formats.md describes: of maps ``tiff``, ``png``,
    ``npy`` and ``exr``; derived ones ``mask``, ``depth``, ``ply``, ``glb``, ``mesh``, ``stereo``, ``anaglyph`` and
    ``parallax``; and ``preview``, which is always written: alone, nothing but that and the facts. The files of
    ``cup.jpg`` are ``cup.inv_depth.tiff`` and so on, or ``cup_2.inv_depth.tiff`` if another photo has those. Saving the
    same photo again replaces its files. Only a few rows of a map are in memory at a time, except for ``png`` and
    ``exr``, whose libraries need a whole map.

    Args:
        prediction: the prediction.
        folder: created if missing.
        stem: name before the suffixes; by default that of the photo's file, or ``image``.
        formats: at least one, or their names with commas; MddnetError for an unknown one or a missing package.
        fixed_range: colour range of the preview; None is that of the prediction.
        full: whether TIFF files have the exact values, seven times as large, instead of values that are rounded by at
            most a tenth of their error and 1/512 of the map's range.
        maps_at: size of the maps: that of the photo, or of the network's maps; the CoC is in pixels of the photo.
        writers: number of files that are written at once. The bytes are the same.

    Returns:
        The files: the maps of the first format by quantity, those of others as ``"inv_depth.png"`` and so on,
        ``"defocus_mask"``, ``"points.ply"``, ``"points.glb"``, other derived ones by format, ``"preview"`` and
        ``"facts"``.
    """
    formats = formats_of(formats)
    require_packages(formats)
    if maps_at not in MAPS_AT:
        raise MddnetError(f"maps_at {maps_at!r}: expected {' or '.join(MAPS_AT)}")
    if stem is None:
        stem = prediction.photo.path.stem if prediction.photo.path is not None else "image"

    def stage(staging: Staging) -> None:
        _stage(prediction, formats, fixed_range, MapDetail(full, maps_at), staging)

    return save_staged(folder, stem, source_of(prediction.photo), stage, writers)


class Staging:
    """Files of one stem that are being written by some threads: their final paths, sizes and checksums."""

    def __init__(self, stem: Path, source: str, files: StagedFiles, pool: ThreadPoolExecutor) -> None:
        self.written: dict[str, Path] = {}
        self._checksums: dict[str, Future[dict[str, int]]] = {}  # of the files that are begun, by name
        self._stem, self._source, self._files, self._pool = stem, source, files, pool

    def put(self, key: str, ending: str, write: Callable[[BinaryIO], object]) -> None:
        """Begin a temporary file; its name will be that of the stem with ``ending``."""
        path = self.written[key] = self._stem.with_name(self._stem.name + ending)
        self._checksums[path.name] = self._pool.submit(self._checksum, path, write)

    def put_facts(self, facts: Mapping[str, object]) -> None:
        """Write the ``.json``, when all others are written; raises the error of the first that could not be."""
        checksums = {name: begun.result() for name, begun in self._checksums.items()}
        names = {key: path.name for key, path in self.written.items()}
        head = {
            "mddnet_prediction": OUTPUT_FORMAT,
            "mddnet": __version__,
            "source": self._source,
            "complete": True,
        }
        whole = {**head, **facts, "files": names, "checksums": checksums}
        text = json.dumps(whole, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        path = self.written["facts"] = self._stem.with_name(self._stem.name + FACTS_SUFFIX)
        # The bytes of a name that are not UTF-8 are lone surrogates, which JSON escapes as Python does.
        self._files.write(path, lambda stream: stream.write(text.encode(errors="backslashreplace")))

    def _checksum(self, path: Path, write: Callable[[BinaryIO], object]) -> dict[str, int]:
        """Write a file, and read it for its checksum."""
        size, crc32 = _size_and_crc32(self._files.write(path, write))
        return {"bytes": size, "crc32": crc32}


def save_staged(
    folder: Path, stem: str, source: str, stage: Callable[[Staging], None], writers: int = 1
) -> dict[str, Path]:
    """Write the files of one result, which replace those of an earlier run of that source when all are written."""
    if not stem or Path(stem).name != stem or stem in {".", ".."}:
        raise MddnetError(f"stem {stem!r}: expected a plain file name without a folder")
    try:
        with StagedFiles() as staged, worker_threads(writers) as pool:
            stem = claim_stem(folder, stem, source)
            with writing_into(folder):
                earlier = read_facts(folder / (stem + FACTS_SUFFIX))
                staging = Staging(folder / stem, source, staged, pool)
                stage(staging)
                with FolderLock(folder, "predict", LOCK_PATIENCE_S):
                    atomic_write_text(staging.written["facts"], _claim(source))
                    # An earlier run may have had more lens facts, other formats or more frames.
                    stale = {stem + ending for ending in _RESULT_ENDINGS} | set(earlier.files if earlier else ())
                    for name in stale - {path.name for path in staging.written.values()}:
                        if Path(name).name == name and name.startswith(stem + "."):
                            (folder / name).unlink(missing_ok=True)
                    staged.commit()
        return staging.written
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot write results ({error}); choose another folder") from error


def source_of(photo: Photo) -> str:
    """Identity of a photo: its absolute path, or a digest of its pixels if it has none."""
    if photo.path is not None:
        return str(photo.path.resolve())
    return "pixels:" + hashlib.blake2b(photo.pixels.tobytes(), digest_size=16).hexdigest()


def content_of(path: Path | None) -> str | None:
    """A digest of a photo's file, which detects changes; None without a file."""
    if path is None:
        return None
    try:
        found = path.stat()
        return _digest(path, found.st_mtime_ns, found.st_size)
    except OSError:
        return None


@lru_cache(maxsize=4)
def _digest(path: Path, changed_ns: int, size: int) -> str:
    """The digest of a file, cached for the frames of a video."""
    with path.open("rb") as stream:
        return "blake2b:" + hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@dataclass(frozen=True, slots=True)
class MapDetail:
    """Precision and size of the maps in files."""

    full: bool = False  # exact, not rounded
    at: MapsAt = "photo"  # of which size


@dataclass(frozen=True, slots=True)
class SavedFacts:
    """Origin of a saved prediction, from its ``.json``."""

    path: Path
    source: str
    complete: bool
    model: str
    model_version: str
    lens: Lens
    content: str | None
    refined: bool
    depth_prior: str | None
    detail: MapDetail
    previews_crc32: int | None  # of the film of a video: CRC-32 of all its previews
    files: dict[str, tuple[int, int]]  # size in bytes and CRC-32 of every other file, by its name

    def intact(self, formats: Sequence[SaveFormat]) -> bool:
        """Whether results in these formats are complete, and every file is as it was written."""
        if not self.complete or not {first_file(self.path.stem, name) for name in formats} <= self.files.keys():
            return False
        try:
            # sizes first: most damage shows without reading a file
            found = {self.path.with_name(name): state for name, state in self.files.items()}
            return all(path.stat().st_size == size for path, (size, _) in found.items()) and all(
                _size_and_crc32(path) == state for path, state in found.items()
            )
        except (OSError, ValueError):  # a name that no file can have is a ValueError
            return False


def find_saved(folder: Path, photo_path: Path, stem: str | None = None) -> SavedFacts | None:
    """The facts of an earlier prediction of that photo in the folder, with or without a number after the stem."""
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
        maps = data.get("maps", {})
        return SavedFacts(
            path,
            str(data["source"]),
            bool(data["complete"]),
            str(model["name"]),
            str(model["version"]),
            Lens.from_json(data.get("lens", {})),
            data.get("content"),
            bool(data.get("refined", False)),
            data.get("depth_prior"),
            MapDetail(bool(maps.get("full", True)), maps.get("at", "photo")),
            data.get("previews_crc32"),
            {name: (state["bytes"], state["crc32"]) for name, state in data.get("checksums", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _size_and_crc32(path: Path) -> tuple[int, int]:
    size, crc = 0, 0
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc


def claim_stem(folder: Path, stem: str, source: str) -> str:
    """Claim a stem for the results of a photo: the first of stem, stem_2, ... that is free or belongs to the photo.

    Numbers follow the order of claims. A claim creates the ``.json`` of the stem, and the folder. ``source`` is that of
    :func:`source_of`. MddnetError if the folder cannot be created or written, or the stem is too long.
    """
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder, "predict", LOCK_PATIENCE_S):
            for name in _stems(stem):
                check_stem(name)
                path = folder / (name + FACTS_SUFFIX)
                if path.exists():
                    facts = read_facts(path)
                    if facts is not None and facts.source == source:
                        return name
                elif not any((folder / (name + ending)).exists() for ending in _RESULT_ENDINGS):
                    atomic_write_text(path, _claim(source))
                    return name
    raise AssertionError("unreachable: the numbers are infinite")


def _stems(stem: str) -> itertools.chain[str]:
    return itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))


def _claim(source: str) -> str:
    """Content of the ``.json`` until all other files are in place."""
    return json.dumps({"mddnet_prediction": OUTPUT_FORMAT, "source": source, "complete": False}) + "\n"


def _stage(
    prediction: Prediction,
    formats: Sequence[SaveFormat],
    fixed_range: PreviewRange | None,
    detail: MapDetail,
    staging: Staging,
) -> None:
    """Write all files of a prediction to temporary files."""
    source = NetworkSize(prediction) if detail.at == "network" else prediction
    written = [quantity for quantity in WRITTEN if quantity in prediction.quantities]
    maps = [Map(source, quantity, exact=detail.full) for quantity in written]
    height, width = source.size
    colour_range = fixed_range or preview_range(prediction)
    picture = preview(prediction, colour_range)  # before the other files, since it copies the photo meanwhile
    made: dict[str, object] = {"maps": {**asdict(detail), "width_px": width, "height_px": height}}
    if "mask" in formats:
        mask = Map(prediction, "defocus_px")
        made[MASK] = {"quantity": "defocus_px", "unit": "px", **mask.code(0.0)}
        staging.put(MASK, first_file("", "mask"), partial(write_mask, mask))
    if "depth" in formats:
        low, high = np.percentile(prediction.maps.inv_depth, DEPTH_PERCENTILES)
        depth = Map(prediction, "inv_depth", (float(low), float(high)))
        made["depth_png"] = {"quantity": "inv_depth", "unit": prediction.unit, **depth.code(), **MEANINGS["inv_depth"]}
        staging.put(DEPTH, first_file("", "depth"), partial(write_png, depth))
    for name in formats:
        if name in PICTURE_WRITERS:
            staging.put(name, first_file("", name), partial(PICTURE_WRITERS[name], prediction))
    if set(formats) & set(POINT_FORMATS):
        made["point_cloud"] = put_points(staging, predicted_points(prediction), formats)
    for one in maps:
        put_map(staging, one, formats)
    put_picture(staging, "preview", PREVIEW_SUFFIX, picture)
    made["preview_range"] = {**asdict(colour_range), "fixed": fixed_range is not None}
    if "png" in formats:
        made["png_codes"] = {one.quantity: one.code() for one in maps}
    staging.put_facts(_facts(prediction) | made)


def put_map(staging: Staging, one: Map, formats: Sequence[str], key: str | None = None) -> None:
    """Write a map in those of the formats that are formats of maps; ``key`` stands for its quantity."""
    key = key or one.quantity
    for name in formats:
        if name in MAP_WRITERS:
            full = key if key not in staging.written else f"{key}.{name}"
            staging.put(full, map_name("", key, name), partial(MAP_WRITERS[name], one))


def put_points(staging: Staging, cloud: PointCloud, formats: Sequence[SaveFormat]) -> dict[str, object]:
    """Write a point cloud in those of the formats that are formats of points; returns its facts."""
    for name in formats:
        if name in POINT_FORMATS:
            put_bytes(staging, f"points.{name}", first_file("", name), POINT_FORMATS[name](cloud))
    return cloud.to_json()


def put_bytes(staging: Staging, key: str, ending: str, content: bytes) -> None:
    """Write a file with this content."""
    staging.put(key, ending, lambda stream: stream.write(content))


def put_picture(staging: Staging, key: str, ending: str, picture: Image.Image) -> None:
    """Write a picture as PNG."""
    staging.put(key, ending, lambda stream: picture.save(stream, format="PNG", compress_level=1))


def _write_mesh(prediction: Prediction, stream: BinaryIO) -> None:
    stream.write(mesh_bytes(predicted_mesh(prediction)))


def _write_view(view: Callable[[Prediction], UInt8Array], prediction: Prediction, stream: BinaryIO) -> None:
    Image.fromarray(view(prediction)).save(stream, format="JPEG", quality=VIEW_QUALITY, subsampling=0)


def _write_parallax(prediction: Prediction, stream: BinaryIO) -> None:
    write_film(stream, parallax_clip(prediction), CLIP_RATE)


PICTURE_WRITERS: dict[str, Callable[[Prediction, BinaryIO], None]] = {
    "mesh": _write_mesh,
    "stereo": partial(_write_view, side_by_side),
    "anaglyph": partial(_write_view, anaglyph),
    "parallax": _write_parallax,
}


def _facts(prediction: Prediction) -> dict[str, object]:
    height, width = prediction.size
    focus, sharp = prediction.focus, prediction.depth_of_field
    unknown = {} if focus.found else {"u_focus": None, "kappa_px": None}  # JSON has no NaN
    pinhole = camera_of(prediction.lens, prediction.unit, focus, prediction.size, prediction.camera)
    return {
        "content": content_of(prediction.photo.path),
        "width_px": width,
        "height_px": height,
        "model": {"name": prediction.model, "version": prediction.model_version},
        "refined": prediction.refined,
        "depth_prior": prediction.depth_prior,
        "unit": prediction.unit,
        "focus": asdict(focus) | unknown,
        "depth_of_field": None if sharp is None else sharp.to_json(),
        "lens": prediction.lens.to_json(),
        "camera": asdict(pinhole),
        "camera_estimate": None if prediction.camera is None else prediction.camera.to_json(),
        "verdict": prediction.verdict.to_json(),
        "notes": list(prediction.notes),
    }
