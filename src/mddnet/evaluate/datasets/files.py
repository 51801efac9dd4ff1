"""Readers of the file formats of public data sets: images, 16-bit depth, PFM, MATLAB and HDF5."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import CaptureError, MddnetError
from mddnet.evaluate.datasets.record import Failure, Item
from mddnet.metrics import Truth
from mddnet.photo.image_file import opened_image
from mddnet.photo.reader import read_photo
from mddnet.types import Float32Array, UInt8Array

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MAX_PFM_PIXELS = 200_000_000
GET_AGAIN = "get the file again"


def natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key by which ``2.png`` comes before ``10.png``."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() and len(part) < 18 else (-1, part) for part in parts], path.name


def images_in(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """Images in a folder, in natural order of their names; none if the folder is missing."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    return sorted(found, key=natural_order)


def same_stem(folder: Path, stem: str, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Path | None:
    """The image ``stem.*`` of a folder, of any type; None if there is none."""
    for suffix in suffixes:
        for spelling in (suffix, suffix.upper()):
            path = folder / f"{stem}{spelling}"
            if path.is_file():
                return path
    return None


def paired(
    photos: Iterable[Path], partner: Callable[[Path], Path | None], expected: str, item: Callable[[Path, Path], Item]
) -> Iterator[Item | Failure]:
    """One item for each photo whose partner exists; the others are failures."""
    for photo in photos:
        other = partner(photo)
        yield (str(photo), f"its {expected} is missing") if other is None else item(photo, other)


def read_rgb(path: Path) -> UInt8Array:
    """(H, W, 3) uint8, sRGB; 16-bit files are reduced to 8 bits. ImageError if it is missing or damaged."""
    return read_photo(path).pixels


def read_levels(path: Path, channel: int = 0) -> NDArray[np.float64]:
    """(H, W) unscaled grey levels of an 8- or 16-bit image, of one channel if it has several.

    CaptureError if it is missing or damaged, or its pixels are not integers.
    """
    with opened_image(path, GET_AGAIN) as image:
        # decode grey palettes and one-bit masks
        levels = np.asarray(image.convert("L") if image.mode in ("1", "P") else image)
    if levels.dtype.kind not in "uib" or levels.ndim not in (2, 3):
        raise CaptureError(f"{path}: {levels.shape} {levels.dtype}; expected an image of integers")
    if levels.ndim == 3:
        levels = levels[..., min(channel, levels.shape[2] - 1)]
    return levels.astype(np.float64)


def photo_with_depth16(photo: Path, depth: Path, codes_per_m: float, expected: str) -> Truth:
    """A photo with a depth map of 16-bit codes that are proportional to depth; 0 is unknown.

    CaptureError for a missing or damaged map, one that is not of integers, or has no code above 255, as an image that
    was converted to 8 bits; it says what was ``expected``.
    """
    codes = read_levels(depth)
    largest = float(codes.max(initial=0.0))
    if largest <= 255:
        raise CaptureError(f"{depth}: values up to {largest:g}; expected {expected}, not 8 bits; {GET_AGAIN}")
    return Truth(read_rgb(photo), inv_depth_from_depth_m(codes / codes_per_m))


def read_pfm(path: Path) -> Float32Array:
    """(H, W) float32 of a grey PFM file: ``Pf``, width and height, scale (negative is little-endian), rows bottom up.

    The format of Debevec's HDR Shop, https://netpbm.sourceforge.net/doc/pfm.html. CaptureError if the file is missing
    or damaged, has several channels, or its length does not match its header.
    """
    try:
        with path.open("rb") as stream:
            head = [stream.readline(200).decode("ascii").strip() for _ in range(3)]
            width, height = (int(size) for size in head[1].split())
            scale = float(head[2])
            if head[0] != "Pf" or min(width, height) < 1 or width * height > MAX_PFM_PIXELS or not abs(scale) > 0:
                raise ValueError(f"header {head}")
            data = stream.read()
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path}: not a readable PFM file of one channel ({error}); get the file again") from error
    if len(data) != 4 * width * height:
        raise CaptureError(f"{path}: {len(data)} bytes of {width} x {height} floats; expected {4 * width * height}")
    values = np.frombuffer(data, dtype="<f4" if scale < 0 else ">f4").reshape(height, width)[::-1]
    return values.astype(np.float32)


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file, such as a MATLAB file of version 7.3; CaptureError if it is damaged. Needs h5py."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (MddnetError, MemoryError):
        raise
    except Exception as error:
        # h5py raises many kinds of exceptions for a damaged file, when it is opened and when it is read
        raise CaptureError(f"{path}: not a readable HDF5 file ({error}); {GET_AGAIN}") from error


def dataset_of(file: Any, path: Path, key: str, dimensions: int) -> Any:
    """A dataset of an open HDF5 file, not read yet; CaptureError if it is missing or has other dimensions."""
    found = file.get(key)
    if found is None or len(getattr(found, "shape", ())) != dimensions:
        has = {name: getattr(value, "shape", "a group") for name, value in file.items()}
        raise CaptureError(f"{path}: no dataset {key} with {dimensions} dimensions; it has {has}; {GET_AGAIN}")
    return found


def inv_depth_from_depth_m(depth_m: NDArray[np.floating]) -> Float32Array:
    """Inverse depth, 1/m; NaN where the depth is not between a micrometre and a million kilometres."""
    known = (depth_m > 1e-6) & (depth_m < 1e9)
    return np.where(known, 1.0 / np.where(known, depth_m, 1.0), np.nan).astype(np.float32)
