"""Maps in files: TIFF, 16-bit PNG, NPY and EXR, written a few rows at a time where the format allows it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from mddnet.predict.prediction import Prediction, Quantity
from mddnet.predict.resampling import STRIP_ROWS, strips, upsampled_rows
from mddnet.types import Float32Array, InvDepthUnit
from mddnet.version import __version__

MEANINGS = {
    "inv_depth": {"larger": "nearer"},
    "defocus_px": {"unit": "px", "meaning": "diameter of the circle of confusion"},
    "signed_defocus_px": {"unit": "px", "positive": "behind the plane of focus"},
    "confidence": {"unit": "1", "meaning": "trust in depth, 0 to 1: docs/verdict.md"},
    "depth_m": {"unit": "m", "meaning": "z-depth from the principal plane"},
    "depth_error_m": {"unit": "m", "meaning": "standard error of depth_m"},
}
CODES_16_BIT = 65535
ERROR_SHARE = 0.1
"""Rounding changes a value by at most this share of its error."""
RANGE_SHARE, METRES_SHARE = 2.0**-9, 2.0**-8
"""And by at most this share of the map's range, or of the value of metres, so that slopes stay smooth."""
CONFIDENCE_STEP = 5  # of 255
ERROR_MAP_SHARE = 0.02  # a map of errors is rounded by at most this share of each
RANGE_ROWS = 32  # rows that give the range
EXPONENT = np.uint32(0x7F800000)  # bits of a float32
STEP_LIMITS = (2.0**-60, 2.0**60)
DEFLATE_LEVEL = 1
"""Rounded maps deflate to a tenth in .3 s of 12 megapixels; level 6 takes three times as long and saves a half."""


class MapSource(Protocol):
    """Maps that are read a few rows at a time."""

    @property
    def unit(self) -> InvDepthUnit:
        """Unit of inverse depth."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""

    def rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array:
        """Some rows of a map, (stop - start, W)."""

    def error_rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array | None:
        """The error of some rows of a map; None if it is unknown."""


@dataclass(frozen=True)
class NetworkSize:
    """The maps of a prediction at the size of the network's, still in pixels of the photo."""

    prediction: Prediction

    @property
    def unit(self) -> InvDepthUnit:
        return self.prediction.unit

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.prediction.maps.inv_depth.shape
        return height, width

    def rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array:
        return self.prediction.sampled(quantity, self.size[::-1])[start:stop]

    def error_rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array | None:
        if quantity == "depth_m" and "depth_error_m" in self.prediction.quantities:
            return self.rows("depth_error_m", start, stop)
        error = self.prediction.small_error(quantity)
        return None if error is None else upsampled_rows(error, self.size, start, stop)


@dataclass(frozen=True)
class Map:
    """One map, read a few rows at a time, as floats or as integer codes."""

    source: MapSource
    quantity: Quantity
    clipped_to: tuple[float, float] | None = None  # values beyond which codes are clipped
    exact: bool = True  # whether a TIFF has the floats as they are, not rounded

    @property
    def description(self) -> dict[str, object]:
        unit = {"unit": self.source.unit} if self.quantity == "inv_depth" else {}
        return {"quantity": self.quantity, **unit, **MEANINGS[self.quantity]}

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest finite value."""
        if self.clipped_to is not None:
            return self.clipped_to
        finite = [strip[np.isfinite(strip)] for strip in self.strips()]
        ends = [(float(values.min()), float(values.max())) for values in finite if values.size]
        return min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=0.0)

    def code(self, lowest: float | None = None) -> dict[str, float]:
        """Offset and scale of the codes, of 8 bits for confidence, else of 16 from ``lowest`` (None: the smallest).

        For metres the largest code is infinity, and stands under ``infinity``.
        """
        if self.quantity == "confidence":
            return {"offset": 0.0, "scale": 1 / 255}
        low, high = self.extremes
        low = low if lowest is None else lowest
        metres = self.quantity in ("depth_m", "depth_error_m")
        scale = (high - low) / (CODES_16_BIT - metres) if high > low else 1.0
        return {"offset": low, "scale": scale, **({"infinity": CODES_16_BIT} if metres else {})}

    def dtype(self, code: dict[str, float] | None) -> str:
        """Type of the codes, or of floats without a code."""
        return "<f4" if code is None else "u1" if self.quantity == "confidence" else "<u2"

    def strips(self, code: dict[str, float] | None = None) -> Iterator[NDArray[Any]]:
        """Strips of rows, from the top: values, or codes with value = offset + scale * code."""
        for start, stop in strips(self.source.size[0]):
            values: NDArray[Any] = self.source.rows(self.quantity, start, stop)
            if code is not None and self.quantity == "confidence":
                values = np.rint(values * np.float32(255))
            elif code is not None:
                values = np.rint((values.astype(np.float64) - code["offset"]) / code["scale"])
                values = np.clip(values, 0, CODES_16_BIT)
            yield np.ascontiguousarray(values, dtype=self.dtype(code))

    def rounded_strips(self) -> Iterator[NDArray[Any]]:
        """Strips of rows, rounded to what their error leaves; codes of the confidence to fiftieths."""
        if self.quantity == "confidence":
            yield from (
                np.rint(strip / CONFIDENCE_STEP).astype("u1") * CONFIDENCE_STEP for strip in self.strips(self.code())
            )
            return
        for (start, stop), values in zip(strips(self.source.size[0]), self.strips(), strict=True):
            yield rounded(values, self._harmless(values, start, stop))

    def whole(self, code: dict[str, float] | None = None) -> NDArray[Any]:
        return np.concatenate(list(self.strips(code)))

    @cached_property
    def _range(self) -> float:
        """From the 1st to the 99th percentile of some rows."""
        height = self.source.size[0]
        numbers = range(0, height, max(1, height // RANGE_ROWS))
        low, high = np.percentile([self.source.rows(self.quantity, row, row + 1) for row in numbers], (1, 99))
        return float(high - low)

    def _harmless(self, values: Float32Array, start: int, stop: int) -> Float32Array | np.float32:
        """The largest change of some rows that does not matter."""
        if self.quantity == "depth_error_m":
            return values * np.float32(ERROR_MAP_SHARE)
        metres = self.quantity == "depth_m"
        most = values * np.float32(METRES_SHARE) if metres else np.float32(RANGE_SHARE * self._range)
        error = self.source.error_rows(self.quantity, start, stop)
        return most if error is None else np.minimum(most, error * np.float32(ERROR_SHARE))


def rounded(values: Float32Array, most: Float32Array | np.float32) -> Float32Array:
    """Values rounded to multiples of powers of two, each by at most its positive ``most``; infinity stays."""
    step = np.clip(np.float32(2) * np.atleast_1d(most), *STEP_LIMITS).astype(np.float32)
    step = (step.view(np.uint32) & EXPONENT).view(np.float32)  # the power of two below
    whole = values / step
    np.rint(whole, out=whole)
    whole *= step
    return whole


def write_mask(one: Map, stream: BinaryIO) -> None:
    """Write the CoC diameter as a 16-bit grey TIFF."""
    code = one.code(0.0)
    meaning = {"meaning": "black is sharp; value = scale * code"}
    _write_tiff(one, one.strips(code), one.dtype(code), one.description | code | meaning, stream)


def write_tiff(one: Map, stream: BinaryIO) -> None:
    """Write a map as float32 or, if it is the confidence, 8 bits; deflated, unless it is exact."""
    code = one.code() if one.quantity == "confidence" else None
    described = one.description | ({} if code is None else {"scale": code["scale"]})
    if one.exact:
        _write_tiff(one, one.strips(code), one.dtype(code), described, stream)
    else:
        _write_tiff(one, one.rounded_strips(), one.dtype(code), described, stream, "zlib")


def _write_tiff(
    one: Map,
    whole: Iterator[NDArray[Any]],
    dtype: str,
    described: dict[str, object],
    stream: BinaryIO,
    compression: str | None = None,
) -> None:
    """Write strips of rows, as they come; exact floats are not compressed, since that saves a tenth and takes long."""

    def encoded(strip: NDArray[Any]) -> bytes:
        return zlib.compress(strip.tobytes(), DEFLATE_LEVEL) if compression else strip.tobytes()

    height, width = one.source.size
    # metadata=None prevents tifffile from replacing the description.
    tifffile.imwrite(
        stream, (encoded(strip) for strip in whole), shape=(height, width), dtype=dtype, byteorder="<",
        photometric="minisblack", description=json.dumps({"mddnet": __version__, **described}), metadata=None,
        software="mddnet", compression=compression, rowsperstrip=STRIP_ROWS,
    )  # fmt: skip


def write_png(one: Map, stream: BinaryIO) -> None:
    """Write a map as 16-bit grey, or 8-bit for confidence, with its code in the text chunk ``mddnet``."""
    code = one.code()
    text = PngImagePlugin.PngInfo()
    text.add_text("mddnet", json.dumps({"mddnet": __version__, **one.description, **code}))
    Image.fromarray(one.whole(code)).save(stream, format="PNG", pnginfo=text, compress_level=1)


def _write_exr(one: Map, stream: BinaryIO) -> None:
    """Write a map as the channel "Y", which every reader shows."""
    import OpenEXR  # of the extra `formats`

    header = {
        # ZIP takes seconds for 12 megapixels and saves little.
        "compression": OpenEXR.NO_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "quantity": one.quantity,
        "unit": str(one.description["unit"]),
        "mddnet": json.dumps({"mddnet": __version__, **one.description}),
    }
    OpenEXR.File(header, {"Y": one.whole()}).write(stream)


def _write_npy(one: Map, stream: BinaryIO) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": one.source.size}
    np.lib.format.write_array_header_1_0(stream, header)
    for strip in one.strips():
        stream.write(strip.tobytes())


MAP_WRITERS: dict[str, Callable[[Map, BinaryIO], None]] = {
    "tiff": write_tiff,
    "png": write_png,
    "npy": _write_npy,
    "exr": _write_exr,
}
