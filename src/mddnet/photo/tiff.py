"""TIFF files, through tifffile: what a file is by its directories, and the samples of any bit depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.ExifTags import IFD, Base

from mddnet.errors import ImageError
from mddnet.photo.samples import check_size

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
REDUCED = 1  # bit of NewSubfileType: a smaller copy of another image of the file
MIN_IS_WHITE, PALETTE, CMYK, YCBCR, LAB = 0, 3, 5, 6, 8  # values of PhotometricInterpretation
RAW_KINDS = {32803, 34892}  # CFA and LinearRaw
MOST_PAGES = 64  # of a file with a reduced first page, to find its full image
MAX_BYTES_PER_PIXEL = 64  # eight samples of double precision; a photo has at most four
LARGE_TILE_PIXELS = 2**22


@dataclass(frozen=True, slots=True)
class TiffContent:
    """What the directories of a TIFF say."""

    raw: bool  # a camera raw file
    number: int | None  # of the page with the full image; None if it is not in the main chain
    page: Any = None  # this page by tifffile, while the file is open; None if it is damaged


@dataclass(frozen=True, slots=True)
class TiffPage:
    """The samples of the full image and its tags."""

    samples: NDArray[np.generic]  # (H, W) or (H, W, C); larger is brighter
    profile: bytes | None
    tags: Mapping[int, object]  # of the page and of its EXIF directory


def tiff_content(path: Path, files: ExitStack) -> TiffContent:
    """What a TIFF, which stays open in ``files``, is by its directories; a damaged one counts as an ordinary image."""
    import tifffile

    try:
        file = files.enter_context(tifffile.TiffFile(path))
        first = file.pages.first
        kinds = {int(page.photometric or 0) for page in _with_subpages(first)}
        if Base.DNGVersion in first.tags or kinds & RAW_KINDS:
            return TiffContent(True, None)
        if not _is_reduced(first):
            return TiffContent(False, 0, first)
        full = _full_page(file)
        if full is None:  # a preview without its image: only a raw converter may know more
            return TiffContent(True, None)
        numbers = (i for i, top in enumerate(islice(file.pages, MOST_PAGES)) if top.offset == full.offset)
        return TiffContent(False, next(numbers, None), full)
    except Exception:
        # tifffile raises many classes of exceptions for damaged files; the reader then reports the damage.
        return TiffContent(False, 0)


def tiff_header(path: Path, page: Any) -> tuple[tuple[int, int], Mapping[int, object]]:
    """Stored width and height of a page, and its tags; tifffile raises anything if it is damaged."""
    page = _page_or_error(path, page)
    return (page.imagewidth, page.imagelength), _tags(page)


def read_tiff(path: Path, page: Any, max_pixels: int | None) -> TiffPage:
    """Read a page of an open TIFF in its full bit depth, such as float RGB; ImageError if it cannot be read."""
    import tifffile

    try:
        page = _page_or_error(path, page)
        check_size(page.imagelength, page.imagewidth, str(path), max_pixels)
        _check_memory(page)
        if page.photometric in (PALETTE, CMYK, YCBCR, LAB):
            kind = tifffile.PHOTOMETRIC(page.photometric).name
            raise ImageError(f"{path}: colours of kind {kind}; expected RGB: save it as RGB")
        samples = page.asarray()
        if page.axes.startswith("S"):
            samples = np.moveaxis(samples, 0, -1)
        profile = page.tags.valueof(Base.InterColorProfile)
        tags = _tags(page)
        if page.photometric == MIN_IS_WHITE:
            samples = inverted(samples, page.bitspersample)
    except ImageError:
        raise
    except Exception as error:
        # tifffile raises many classes of exceptions for damaged files.
        raise ImageError(f"{path}: not a readable TIFF ({error}); save it as 16-bit RGB without compression") from error
    return TiffPage(samples, profile if isinstance(profile, bytes) else None, tags)


def inverted(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Samples whose smallest value was white, with white as the largest value; floats lie in [0, 1]."""
    if np.issubdtype(samples.dtype, np.floating):
        return np.asarray(1.0 - samples, dtype=samples.dtype)
    return np.asarray(samples.dtype.type(2**bits - 1) - samples)


def _page_or_error(path: Path, page: Any) -> Any:
    """The page; tifffile's error for a damaged file, of which there is none."""
    import tifffile

    if page is not None:
        return page
    with tifffile.TiffFile(path) as file:
        _full_page(file)
    raise ValueError("no page")


def _tags(page: Any) -> dict[int, object]:
    import tifffile

    tags: dict[int, object] = {tag.code: tag.value for tag in page.tags}
    exif = tags.get(IFD.Exif)
    if isinstance(exif, dict):
        codes: Any = tifffile.TIFF.EXIF_TAGS
        tags |= {codes[name]: value for name, value in exif.items() if name in codes}
    return tags


def _is_reduced(page: Any) -> bool:
    kind = page.tags.valueof(Base.NewSubfileType, 0)
    return isinstance(kind, int) and bool(kind & REDUCED)


def _with_subpages(page: Any) -> Iterator[Any]:
    yield page
    if page.pages is not None:
        yield from islice(page.pages, MOST_PAGES)


def _full_page(file: Any) -> Any:
    """The largest page that is not a reduced copy, if the first page is one; None if there is none."""
    if not _is_reduced(file.pages.first):
        return file.pages.first
    pages = [page for top in islice(file.pages, MOST_PAGES) for page in _with_subpages(top.aspage())]
    full = [page for page in pages if not _is_reduced(page)]
    return max(full, key=lambda page: page.imagelength * page.imagewidth, default=None)


def _check_memory(page: Any) -> None:
    """Raise ValueError for a page that would need far more memory than its pixels."""
    pixels = page.imagelength * page.imagewidth
    if page.nbytes > MAX_BYTES_PER_PIXEL * pixels:
        raise ValueError(f"{page.nbytes // pixels} bytes per pixel, at most {MAX_BYTES_PER_PIXEL}")
    tile = page.tilelength * page.tilewidth * page.tiledepth if page.is_tiled else 0
    if tile > max(4 * pixels, LARGE_TILE_PIXELS):
        raise ValueError(f"tiles of {page.tilewidth} x {page.tilelength} px in an image of {pixels} pixels")
