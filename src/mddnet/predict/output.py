"""Predictions on disk: one file per quantity, each saying its unit, and a ``.json`` with all the facts.

``<stem>.json`` is written first, as a claim on the stem, and again last, when everything else is there: a file whose
``complete`` is false belongs to a run that was interrupted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from mddnet.errors import MddnetError
from mddnet.predict.prediction import Prediction
from mddnet.predict.view import preview
from mddnet.sets.store import atomic_write
from mddnet.types import Lens, Photo
from mddnet.version import __version__

OUTPUT_FORMAT = 1
MAP_SUFFIXES = {
    "inv_depth": ".inv_depth.tiff",
    "depth_m": ".depth_m.tiff",
    "defocus_px": ".defocus_px.tiff",
    "signed_defocus_px": ".signed_defocus_px.tiff",
    "confidence": ".confidence.tiff",
}
PREVIEW_SUFFIX = ".preview.png"
FACTS_SUFFIX = ".json"


def save(prediction: Prediction, folder: Path, stem: str | None = None) -> dict[str, Path]:
    """Write the maps (float32 TIFF; confidence 8-bit), a preview and the facts of a prediction.

    ``cup.jpg`` becomes ``cup.inv_depth.tiff`` and so on; if those belong to another photo, ``cup_2.inv_depth.tiff``.
    Saving the same photo again replaces its own files.

    Args:
        prediction: what to write.
        folder: made if it is missing.
        stem: name before the suffixes; by default that of the photo's file, or ``image``.

    Returns:
        The files by quantity: the maps, ``"preview"`` and ``"facts"``.

    Raises:
        MddnetError: if the folder cannot be made or a file cannot be written.
    """
    if stem is not None and (not stem or Path(stem).name != stem or stem in {".", ".."}):
        raise MddnetError(f"stem {stem!r}: expected a plain file name without a folder")
    photo = prediction.photo
    if stem is None:
        stem = photo.path.stem if photo.path is not None else "image"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stem = _claimed_stem(folder, stem, source_of(photo))
        return _write(prediction, folder, stem)
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


def find_saved(folder: Path, photo_path: Path) -> SavedFacts | None:
    """The facts of an earlier prediction of that photo in the folder, under its own stem or a numbered one."""
    for name in _stems(photo_path.stem):
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
    return name.endswith((*MAP_SUFFIXES.values(), PREVIEW_SUFFIX))


def _stems(stem: str) -> itertools.chain[str]:
    return itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))


def _claimed_stem(folder: Path, stem: str, source: str) -> str:
    """The first of stem, stem_2, ... that is free or belongs to the same source; it is taken by creating its .json."""
    claim = json.dumps({"mddnet_prediction": OUTPUT_FORMAT, "source": source, "complete": False}) + "\n"
    for name in _stems(stem):
        path = folder / (name + FACTS_SUFFIX)
        others = [folder / (name + suffix) for suffix in (*MAP_SUFFIXES.values(), PREVIEW_SUFFIX)]
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


def _write(prediction: Prediction, folder: Path, stem: str) -> dict[str, Path]:
    maps: dict[str, tuple[NDArray[Any], dict[str, object]]] = {
        "inv_depth": (prediction.inv_depth, {"unit": prediction.unit, "larger": "nearer"}),
        "defocus_px": (prediction.defocus_px, {"unit": "px", "meaning": "diameter of the circle of confusion"}),
        "signed_defocus_px": (prediction.signed_defocus_px, {"unit": "px", "positive": "behind the plane of focus"}),
        "confidence": (
            np.rint(prediction.confidence * np.float32(255)).astype(np.uint8),
            {"unit": "1", "scale": 1 / 255, "meaning": "agreement with lens law and texture"},
        ),
    }
    if prediction.depth_m is not None:
        maps["depth_m"] = (prediction.depth_m, {"unit": "m", "meaning": "z-depth from the principal plane"})
    written: dict[str, Path] = {}
    for quantity, (values, meaning) in maps.items():
        written[quantity] = folder / (stem + MAP_SUFFIXES[quantity])
        _write_tiff(written[quantity], values, {"quantity": quantity, **meaning})
    if prediction.depth_m is None:
        # An earlier run may have known more of the lens; its metres would belong to other maps.
        (folder / (stem + MAP_SUFFIXES["depth_m"])).unlink(missing_ok=True)
    written["preview"] = folder / (stem + PREVIEW_SUFFIX)
    picture = preview(prediction)
    atomic_write(written["preview"], lambda stream: picture.save(stream, format="PNG", compress_level=1))
    facts = _facts(prediction, written)
    written["facts"] = folder / (stem + FACTS_SUFFIX)
    text = json.dumps(facts, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    atomic_write(written["facts"], lambda stream: stream.write(text.encode()))
    return written


def _write_tiff(path: Path, values: NDArray[Any], description: Mapping[str, object]) -> None:
    text = json.dumps({"mddnet": __version__, **description})

    def write(stream: BinaryIO) -> None:
        # metadata=None keeps tifffile from replacing the description by its own.
        # Uncompressed: deflate saves a tenth of such floats and takes a second for 12 megapixels instead of 10 ms.
        tifffile.imwrite(stream, values, photometric="minisblack", description=text, metadata=None, software="mddnet")

    atomic_write(path, write)


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
        "notes": list(prediction.notes),
        "files": {quantity: path.name for quantity, path in written.items()},
    }
