"""Results as one ZIP: the files of ``pred.save``, and pictures made from them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mddnet.predict.output import MapFormat, save
from mddnet.predict.prediction import CompactPrediction, Prediction


def safe_stem(name: str) -> str:
    """A file name's stem of letters, digits and ``._-`` only, never empty, at most 60 characters."""
    stem = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in Path(name).stem)
    return stem.strip("._")[:60] or "photo"


def save_into(
    prediction: Prediction | CompactPrediction, folder: Path, formats: Sequence[MapFormat] = ("tiff",)
) -> list[Path]:
    """Write a prediction with ``pred.save`` under its photo's name, and give the files.

    Its facts name the photo by a digest of its pixels: where the upload lay is this machine's own business.
    """
    path = prediction.photo.path
    stem = safe_stem(path.name) if path is not None else "photo"
    nameless = replace(prediction, photo=replace(prediction.photo, path=None))
    return sorted(save(nameless, folder, stem, formats).values())


def save_picture(pixels: NDArray[np.uint8], path: Path, compress_level: int = 3) -> Path:
    """Write (h, w, 3) or (h, w) uint8 as a PNG, and give its path; level 1 takes a third of the time of level 6."""
    Image.fromarray(pixels).save(path, compress_level=compress_level)
    return path


def zip_folder(folder: Path, target: Path) -> Path:
    """Move the files of a folder into a ZIP, uncompressed: float maps and PNGs hardly get smaller."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
            path.unlink()
    folder.rmdir()
    return target
