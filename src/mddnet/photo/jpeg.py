"""Damage in JPEG files that libjpeg only warns of, and Pillow does not tell: half a photo is not a photo.

Marker syntax by ITU-T T.81, annex B. The markers must lead to an end marker. And the blocks of a sequential image, of
each of its restart intervals, and of the first scan of a progressive image must be decoded from exactly their bytes:
after damage, the decoder finds too many or too few. Block means are stored as differences, so that after other damage
they drift away, often beyond black or white. Damage that does neither is not seen.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from PIL import Image

from mddnet.errors import ImageError

DHT, RST0, SOI, EOI, SOS, DQT, DNL, DRI, ADOBE = 0xC4, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xEE
DECODING = frozenset({DHT, DQT, ADOBE})  # segments that the decoder needs
SEQUENTIAL = frozenset({0xC0, 0xC1})  # baseline and extended, Huffman-coded
PROGRESSIVE = 0xC2
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
WITHOUT_LENGTH = frozenset({0x01, *range(RST0, EOI)})
END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
RESTART = re.compile(rb"\xff([\xd0-\xd7])", re.DOTALL)
SLACK_BYTES = 6  # withheld; some cameras add a few bytes before the end marker
PADDING_BYTES = 64  # of one value before the end marker, which are no damage
FILL_BYTES = 8  # the decoder looks ahead by at most 64 bits
ZEROS = bytes(64)
END = bytes([0xFF, EOI])
FILLS = (bytes(FILL_BYTES), b"\x55" * FILL_BYTES, b"\x92\x49\x24\x92\x49\x24\x92\x49")
MOST_INTERVALS = 600  # that are checked one by one; damage of more and so shorter ones hits their markers
FIRST_SCAN_PIXELS = 8_000_000  # of a progressive image whose first scan is checked
RANGE_FACTOR = 4  # by which the range of block means is widened
MEAN_TOLERANCE = 2  # levels
NOISE = np.random.default_rng(0).integers(0, 256, 4099, dtype=np.uint8).tobytes()
LONGEST_SIDE = 65500  # of a JPEG by libjpeg
RUN_OR_END = frozenset({0x00, 0xF0})  # AC symbols that cover several coefficients: end of block, 16 zeros


@dataclass(frozen=True, slots=True)
class Scans:
    """The layout of a JPEG's only or first image."""

    end: int  # position of the marker that ends the last scan; the end of the data without one
    one_sequential: bool  # a single sequential scan holds all components
    problem: str  # '' if the markers are sound
    first: tuple[int, int] | None = None  # start and end of the data of the first scan of a progressive image
    step_at: int | None = None  # position of the quantisation step of the means of the first component
    intervals: tuple[bytes, ...] = ()  # each restart interval of a sequential image, as a JPEG of its own


def load_jpeg(image: Image.Image, stream: BinaryIO, name: str) -> None:
    """Load an open JPEG; ImageError if it is damaged."""
    stream.seek(0)
    data = stream.read()
    scans = find_scans(data)
    if scans.problem and not scans.one_sequential:
        raise ImageError(f"{name}: damaged or truncated JPEG: {scans.problem}; copy it again")
    small = image.width * image.height <= FIRST_SCAN_PIXELS
    if small and scans.first is not None and not _first_scan_is_sound(data, *scans.first):
        raise ImageError(f"{name}: damaged JPEG: its first scan is not as long as its picture; copy it again")
    if not scans.one_sequential or image.mode not in {"RGB", "L", "CMYK"}:
        return
    if image.mode != "CMYK" and scans.step_at is not None and _means_drift(data, scans.step_at):
        raise ImageError(f"{name}: damaged JPEG: a part of it is brighter or darker than possible; copy it again")
    for interval in scans.intervals:
        with Image.open(io.BytesIO(interval), formats=["JPEG"]) as part:
            _reduce(part, "L" if part.mode == "RGB" else None)  # faster
            _load_watched(part, interval, Scans(len(interval) - 2, True, ""), name)
    _load_watched(image, data, scans, name)


def _load_watched(image: Image.Image, data: bytes, scans: Scans, name: str) -> None:
    watched = _WatchedFile(data, scans, image, name)
    image.fp = watched  # type: ignore[attr-defined]
    image.load()
    watched.check()


def _first_scan_is_sound(data: bytes, start: int, end: int) -> bool:
    """Whether the first scan of a progressive image, of the block means, has the bytes of its picture.

    Bytes after it must not matter. Those at its end must, unless none does: all code the same in a flat picture.
    """

    def mean_values(scan: bytes) -> bytes:
        with Image.open(io.BytesIO(scan + END)) as image:
            _reduce(image)
            return image.tobytes()

    as_read = mean_values(data[:end])
    if any(mean_values(data[:end] + fill) != as_read for fill in FILLS):
        return False
    last = max(end - SLACK_BYTES, start)
    if any(mean_values(data[:last] + fill) != as_read for fill in FILLS):
        return True
    return all(mean_values(data[:start] + fill * (end // len(fill))) == as_read for fill in FILLS)


def _reduce(image: Image.Image, mode: str | None = None) -> None:
    """Decode the means of the blocks only."""
    image.draft(mode, (max(1, image.width // 8), max(1, image.height // 8)))


def _means_drift(data: bytes, step_at: int) -> bool:
    """Whether the mean of a block is beyond black or white: read with a smaller step, it is not clipped."""
    step = data[step_at]
    smaller = step // RANGE_FACTOR
    if smaller == 0:
        return False
    with Image.open(io.BytesIO(data[:step_at] + bytes([smaller]) + data[step_at + 1 :] + END)) as image:
        _reduce(image, "L")
        means = np.asarray(image.convert("L"), dtype=int)
    most = 128 * smaller / step + smaller / 8 + MEAN_TOLERANCE
    return bool(np.abs(means - 128).max() > most)


def find_scans(data: bytes) -> Scans:
    """Follow the markers up to the end of the image."""
    at, frame, components, first, long_zeros = 2, 0, 0, True, True
    tables, start_of_frame, interval, first_scan, steps = b"", b"", 0, None, dict[int, int]()
    while True:
        found = data.find(b"\xff", at)
        at = found + 1 if found >= 0 else len(data)
        while data[at : at + 1] == b"\xff":
            at += 1
        if at + 3 > len(data) and data[at : at + 1] != b"\xd9":
            return Scans(len(data), False, "it has no end")
        marker, length = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
        if marker == EOI:
            return Scans(at - 1, False, "", first_scan)
        if marker in WITHOUT_LENGTH or marker == 0:
            at += 1
            continue
        segment = data[at - 1 : at + 1 + length]
        if marker in FRAMES:
            frame, components = marker, data[at + 8] if at + 8 < len(data) else 0
            start_of_frame = segment
        if marker == DQT:
            steps |= {data[i] % 16: i + 1 for i in range(at + 3, at + 1 + length, 65) if data[i : i + 1] < b"\x10"}
        if marker == DRI:
            interval = int.from_bytes(segment[4:6], "big")
        if marker == DHT:
            long_zeros = long_zeros and _zeros_may_be_long(data[at + 3 : at + 1 + length])
        at += 1 + length
        if marker != SOS:
            tables += segment if marker in DECODING else b""
            continue
        alone = first and frame in SEQUENTIAL and data[at - length + 2 : at - length + 3] == bytes([components])
        first = False
        end = END_OF_SCAN.search(data, at)
        if alone or end is None:
            only = _only_scan(data, at, end, alone, long_zeros)
            if only.problem or not alone:
                return only
            only = replace(only, step_at=steps.get(start_of_frame[12]))
            pieces = RESTART.split(data[at : only.end])[::2]
            return _with_intervals(only, tables, start_of_frame, segment, interval, pieces) if interval else only
        # Scans of AC coefficients join blocks without any, so that zeros cannot go on.
        if frame == PROGRESSIVE and first_scan is None:
            first_scan = (at, end.start())
        if frame == PROGRESSIVE and data[at - 3] > 0 and data.find(ZEROS, at, end.start()) >= 0:
            return Scans(end.start(), False, "a part of it is empty")
        at = end.start()


def _only_scan(data: bytes, start: int, end: re.Match[bytes] | None, alone: bool, long_zeros: bool) -> Scans:
    if end is None:
        kept = len(data.rstrip(b"\0"))
        # Complete pixels without an end marker are still a photo; zeros are a failed copy.
        return Scans(kept, alone, "it has no end" if kept < len(data) or not alone else "")
    restarts = [marker[0] for marker in RESTART.findall(data, start, end.start())]
    if any(marker != RST0 + number % 8 for number, marker in enumerate(restarts)):
        return Scans(end.start(), False, "its restart markers are out of order")
    if end[0][-1] not in (EOI, DNL):
        return Scans(end.start(), alone, "its data holds a wrong marker")
    zeros = -1 if long_zeros else data.find(ZEROS, start, end.start())
    return Scans(end.start(), alone, "") if zeros < 0 else Scans(zeros, alone, "a part of it is empty")


def _with_intervals(
    scans: Scans, tables: bytes, start_of_frame: bytes, start_of_scan: bytes, interval: int, pieces: list[bytes]
) -> Scans:
    """The scans with a JPEG for each restart interval, a row of its blocks; without any if these are too many."""
    height, width = struct.unpack(">HH", start_of_frame[5:9])
    factors = [divmod(factor, 16) for factor in start_of_frame[11::3]]
    if len(factors) == 1:
        factors = [(1, 1)]  # of one component, each block is a unit
    across, down = (8 * max(factor) for factor in zip(*factors, strict=True))
    units = -(-width // across) * -(-height // down)
    if len(pieces) != -(-units // interval):
        return replace(scans, one_sequential=False, problem="its restart markers are not as many as its picture needs")
    counts = [min(interval, units - start) for start in range(0, units, interval)]
    if len(pieces) > MOST_INTERVALS or interval * across > LONGEST_SIDE:
        return scans
    components = b"".join(
        start_of_frame[10 + 3 * i : 11 + 3 * i] + bytes([16 * h + v]) + start_of_frame[12 + 3 * i : 13 + 3 * i]
        for i, (h, v) in enumerate(factors)
    )
    start = b"\xff" + bytes([SOI]) + tables + start_of_frame[:5]
    return replace(
        scans,
        intervals=tuple(
            start + struct.pack(">HHB", down, across * count, len(factors)) + components + start_of_scan + piece + END
            for count, piece in zip(counts, pieces, strict=True)
        ),
    )


def _zeros_may_be_long(tables: bytes) -> bool:
    """Whether zero bits may be many blocks by all of these Huffman tables for AC coefficients: T.81, B.2.4.2.

    The code of zero bits belongs to the first symbol of a table. If that is one small coefficient, 64 zero bytes are
    none that an encoder writes: one component with such a table is enough.
    """
    at, may = 0, True
    while at + 17 < len(tables):
        may = may and (tables[at] < 16 or tables[at + 17] in RUN_OR_END)
        at += 17 + sum(tables[at + 1 : at + 17])
    return may


class _WatchedFile:
    """The data of a JPEG for Pillow, in steps that show how far it is decoded."""

    def __init__(self, data: bytes, scans: Scans, image: Image.Image, name: str) -> None:
        self._image, self._name, self._problem = image, name, scans.problem
        tail = data[max(scans.end - SLACK_BYTES, 0) : scans.end]
        self._padded = len(set(data[max(scans.end - PADDING_BYTES, 0) : scans.end])) == 1
        whole = data[scans.end :] or b"\xff\xd9"
        self._steps = [data[: scans.end - len(tail)], tail + bytes(FILL_BYTES), whole]
        self._step = self._at = 0
        blank = Image.new(image.mode, image.size, None)
        count = image.width * len(image.getbands())
        self._last_row = (NOISE * (count // len(NOISE) + 1))[:count]
        blank.paste(Image.frombytes(image.mode, (image.width, 1), self._last_row), (0, image.height - 1))
        image.im = blank.im

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Go to the start, the only position that Pillow asks for before it decodes."""
        if position != 0 or whence != 0:
            raise OSError(f"position {position} of a JPEG; expected its start")
        self._step = self._at = 0
        return 0

    def tell(self) -> int:
        """Bytes of this step that were read."""
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes of this step; before the next step, ImageError if the rows decoded so far show damage."""
        while self._step < len(self._steps) and self._at == len(self._steps[self._step]):
            self.check()
            self._step, self._at = self._step + 1, 0
        if self._step == len(self._steps):
            return b""
        step = self._steps[self._step]
        piece = step[self._at : self._at + size] if size >= 0 else step[self._at :]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Forget the data."""
        self._steps = []

    def check(self) -> None:
        """Raise ImageError if the rows decoded so far are too many or too few."""
        image = Image.Image()._new(self._image.im)
        last = image.crop((0, image.height - 1, image.width, image.height)).tobytes()
        complete = last != self._last_row
        if self._step == 0 and complete and not self._padded:
            raise self._damaged("its data is longer than its picture, parts of which are wrong")
        if self._step == 1 and (self._problem or not complete):
            # rows that are still black, as before decoding
            decoded = np.flatnonzero(np.asarray(image).reshape(image.height, -1)[:-1].any(axis=1))
            missing = 1.0 - (int(decoded[-1]) + 1 if len(decoded) else 0) / image.height
            where = (
                f"the lower {missing:.0%} of the picture is missing" if missing else "parts of the picture are wrong"
            )
            raise self._damaged(f"{self._problem}, {where}" if self._problem else where)

    def _damaged(self, what: str) -> ImageError:
        return ImageError(f"{self._name}: damaged or truncated JPEG: {what}; copy it again")
