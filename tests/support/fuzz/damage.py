"""Damaged copies of valid files: flipped bits, pieces cut out, repeated or taken from another file, huge lengths.

Checksums are set right again in half of the cases, so that what is behind them is reached: those of the chunks of PNG
and of the headers of tar.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from tests.support.fuzz import draw as st

INTERESTING = (
    *(0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 64, 127, 128, 255, 256, 512, 1024, 4096, 32767, 32768, 65535, 65536),
    *(10**6, 2**24, 2**26, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1),
)
"""Numbers at which lengths, counts and offsets overflow, or ask for more memory than there is."""
PNG_START = b"\x89PNG\r\n\x1a\n"
TAR_BLOCK = 512
TAR_CHECKSUM = slice(148, 156)


@st.composite
def damaged(draw: st.Draw, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A valid file with one to six injuries.

    Args:
        data: the file.
        others: files of the same kind, to take pieces from.
    """
    made = bytearray(data)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3, 6)))):
        if not made:
            break
        action = draw(st.sampled_from(ACTIONS))
        at = _position(draw, len(made))
        if action == "flip":
            made[at] ^= 1 << draw(st.integers(0, 7))
        elif action == "byte":
            made[at] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF, 0x20, 0x30)))
        elif action == "number":
            size = draw(st.sampled_from((2, 4, 4, 4, 8)))
            number = draw(st.sampled_from(INTERESTING)) & (256**size - 1)
            made[at : at + size] = number.to_bytes(size, draw(st.sampled_from(("little", "big"))))
        elif action == "digits":
            _replace_digits(made, at, str(draw(st.sampled_from(INTERESTING))).encode())
        elif action == "end":
            del made[at:]
        elif action == "cut":
            del made[at : at + draw(st.sampled_from((1, 2, 4, 16, 100, 1000)))]
        elif action == "repeat":
            piece = made[at : at + draw(st.sampled_from((1, 2, 4, 16, 100, 1000)))]
            made[at:at] = piece * draw(st.sampled_from((1, 1, 2, 50)))
        elif action == "fill":
            made[at : at + draw(st.sampled_from((4, 16, 64)))] = draw(st.binary(min_size=1, max_size=8)) * 4
        else:
            source = draw(st.sampled_from(others)) if others else data
            start = _position(draw, len(source)) if source else 0
            length = draw(st.sampled_from((4, 16, 100, 1000, 10**9)))
            made[at : at + length] = source[start : start + length]
    result = bytes(made)
    return with_right_checksums(result) if draw(st.booleans()) else result


ACTIONS = ("flip", "flip", "byte", "number", "number", "number", "digits", "end", "cut", "repeat", "fill", "splice")


def _position(draw: st.Draw, length: int) -> int:
    """A position in a file; its head holds most of what matters."""
    head = min(length, draw(st.sampled_from((64, 512, 10**9, 10**9))))
    return draw(st.integers(0, head - 1))


def _replace_digits(made: bytearray, at: int, digits: bytes) -> None:
    """Replace the next number that is written in digits."""
    start = next((i for i in range(at, min(at + 4000, len(made))) if chr(made[i]).isdecimal()), None)
    if start is None:
        return
    stop = start
    while stop < len(made) and chr(made[stop]).isdecimal():
        stop += 1
    made[start:stop] = digits


def with_right_checksums(data: bytes) -> bytes:
    """The same with the checksums of PNG chunks or tar headers computed anew; any other file as it is."""
    if data.startswith(PNG_START):
        return _png_with_checksums(data)
    if len(data) >= TAR_BLOCK and data[257:262] == b"ustar":
        return _tar_with_checksums(data)
    return data


def _png_with_checksums(data: bytes) -> bytes:
    made, at = bytearray(data), 8
    while at + 12 <= len(made):
        (length,) = struct.unpack_from(">I", made, at)
        stop = at + 8 + length
        if stop + 4 > len(made):
            break
        struct.pack_into(">I", made, stop, zlib.crc32(made[at + 4 : stop]))
        at = stop + 4
    return bytes(made)


def _tar_with_checksums(data: bytes) -> bytes:
    made = bytearray(data)
    for at in range(0, len(made) - TAR_BLOCK + 1, TAR_BLOCK):
        if made[at + 257 : at + 262] == b"ustar":
            header = made[at : at + TAR_BLOCK]
            header[TAR_CHECKSUM] = b" " * 8
            made[at + 148 : at + 156] = b"%06o\0 " % sum(header)
    return bytes(made)
