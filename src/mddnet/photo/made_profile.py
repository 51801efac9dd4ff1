"""Colours that a file states without a colour profile: code points of H.273, gAMA and cHRM of PNG, Adobe RGB of DCF."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD

HDR_CURVES = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273 that are not converted to sRGB
D65 = (0.3127, 0.3290)
SRGB_XY = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
PRIMARIES_XY: dict[int, tuple[float, ...]] = {
    1: SRGB_XY,
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060),  # BT.601, 625 lines
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # BT.601, 525 lines
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
"""x and y of red, green and blue by the colour primaries of ITU-T H.273; white is D65."""
GAMMA = {4: 2.2, 5: 2.8, 8: 1.0}
"""By the transfer characteristics of H.273. The others in use are those of sRGB, or near them (BT.709)."""
ADOBE_RGB_XY = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
ADOBE_RGB_GAMMA = 563 / 256
SRGB_GAMMA, GAMMA_TOLERANCE, XY_TOLERANCE = 1 / 0.45455, 0.03, 0.003
ADOBE_RGB_INDEX = "R03"
HEAD_BYTES = 2**18  # the colours are stated before the pixels
D50_XYZ = (0.9642, 1.0, 0.8249)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def code_points(head: bytes) -> tuple[int, int] | None:
    """Primaries and transfer of H.273 that a HEIC, AVIF or PNG file states; None if it states none."""
    if head[4:8] == b"ftyp":
        start = head.find(b"colrnclx")
        return struct.unpack(">HH", head[start + 8 : start + 12]) if start >= 0 and len(head) >= start + 12 else None
    if head.startswith(b"\x89PNG"):
        start = head[: head.find(b"IDAT")].find(b"\0\0\0\4cICP")
        return (head[start + 8], head[start + 9]) if start >= 0 else None
    return None


def stated_profile(image: Image.Image, coded: tuple[int, int] | None, notes: list[str]) -> bytes | None:
    """The colour profile of an image: embedded, or made from what the file states; None for sRGB.

    ``coded`` are the :func:`code_points` of its file. Curves of HDR are not undone; ``notes`` then says so.
    """
    embedded: bytes | None = image.info.get("icc_profile")
    if embedded and (coded is None or image.format != "PNG"):  # cICP of a PNG overrides its profile (PNG 3, 11.3.2.6)
        return embedded
    if coded is not None:
        return profile_of_code_points(*coded, notes)
    if image.format == "PNG":
        return _by_chunks(image.info)
    if _interoperability(image) != ADOBE_RGB_INDEX:
        return None
    notes.append("Read as Adobe RGB, as stated by EXIF.")
    return matrix_profile(ADOBE_RGB_XY, D65, ADOBE_RGB_GAMMA)


def profile_of_code_points(primaries: int, transfer: int, notes: list[str]) -> bytes | None:
    """The profile of colours by H.273; None if they are those of sRGB or, with a note, cannot be converted."""
    if transfer in HDR_CURVES:
        notes.append(f"The HDR curve {HDR_CURVES[transfer]} was read as sRGB: colours are approximate.")
        return None
    xy = PRIMARIES_XY.get(primaries, SRGB_XY)
    if primaries not in PRIMARIES_XY and primaries != 2:  # 2 is unspecified
        notes.append(f"Colour primaries {primaries} of H.273 were read as those of sRGB: colours are approximate.")
    return None if xy == SRGB_XY and transfer not in GAMMA else matrix_profile(xy, D65, GAMMA.get(transfer))


def _by_chunks(info: Mapping[Any, Any]) -> bytes | None:
    """From gAMA and cHRM, which the chunk sRGB overrides."""
    if "srgb" in info or not ("gamma" in info or "chromaticity" in info):
        return None
    gamma = 1.0 / info["gamma"] if info.get("gamma", 0.0) > 0 else SRGB_GAMMA
    stated = info.get("chromaticity", (*D65, *SRGB_XY))
    same_xy = np.abs(np.subtract(stated, (*D65, *SRGB_XY))).max() < XY_TOLERANCE
    same_gamma = abs(gamma - SRGB_GAMMA) < GAMMA_TOLERANCE
    return None if same_xy and same_gamma else matrix_profile(stated[2:], stated[:2], None if same_gamma else gamma)


def _interoperability(image: Image.Image) -> object:
    try:
        return image.getexif().get_ifd(IFD.Interop).get(1)
    except Exception:
        # Pillow raises many classes of exceptions for damaged EXIF, which is noted where the lens facts are read.
        return None


def matrix_profile(xy: tuple[float, ...], white: tuple[float, ...], gamma: float | None) -> bytes:
    """An ICC profile (ICC.1:2010) of RGB by the chromaticities of its primaries and white, and a gamma.

    Without a gamma, the curve is that of sRGB. ValueError for primaries on one line.
    """
    colorants = _colorants(np.reshape(xy, (3, 2)), np.asarray(white))
    curve = (0, gamma) if gamma is not None else (3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    parametric = b"para\0\0\0\0" + struct.pack(">HH", curve[0], 0) + _fixed(*curve[1:])
    name = "made from the file's own statement".encode("utf-16-be")
    text = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(name), 28) + name
    tags = {b"desc": text, b"cprt": text, b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50_XYZ)}
    for letter, column in zip(b"rgb", colorants.T, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*column)
        tags[bytes([letter]) + b"TRC"] = parametric
    body, table, start = b"", struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table += struct.pack(">4sII", signature, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(*D50_XYZ)
    return header.ljust(128, b"\0") + table + body


def _colorants(xy: NDArray[np.float64], white: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3): XYZ of red, green and blue in the columns, adapted to D50 by the Bradford transform."""
    if xy[:, 1].min() <= 0 or white[1] <= 0:
        raise ValueError("primaries without light")
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(3), (1 - xy.sum(axis=1)) / xy[:, 1]])
    white_xyz = np.array([white[0] / white[1], 1.0, (1 - white.sum()) / white[1]])
    try:
        native = columns * np.linalg.solve(columns, white_xyz)
    except np.linalg.LinAlgError as error:
        raise ValueError("primaries on one line") from error
    cones = (BRADFORD @ np.array(D50_XYZ)) / (BRADFORD @ white_xyz)
    adapted: NDArray[np.float64] = np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD @ native
    return adapted


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))
