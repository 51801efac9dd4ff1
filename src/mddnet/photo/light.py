"""The linear light of a photo at the full bit depth of its file, which keeps highlights and dark tones apart."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.color import linear_from_srgb, linear_from_srgb8, srgb8_from_linear
from mddnet.photo.exr import EXR_MAGIC, KIND, exr_light
from mddnet.photo.image_file import formats_module
from mddnet.photo.raw import RAW_SUFFIXES, has_raw_magic, raw_light
from mddnet.photo.reader import upright
from mddnet.photo.samples import SIXTEEN_BIT_WHITE, integer_white
from mddnet.photo.tiff import TIFF_MAGIC, read_tiff, tiff_content
from mddnet.types import Float32Array, Photo

MOST_DIFFERENCE = 4.0  # mean difference in 8-bit levels up to which a file and the pixels of a photo are the same
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_DEPTH_AT, DEEP_PNG = 24, 16


def read_light(photo: Photo) -> Float32Array | None:
    """The light of the photo's own file: (H, W, 3) linear, upright, with the exposure and colours of ``photo.pixels``.

    Values exceed 1 where the file is brighter than the white of the pixels (raw and EXR). None if the file has no more
    than 8 bits, was removed or changed, or has other colours than the pixels, which were converted from its profile.
    """
    if photo.path is None:
        return None
    try:
        for light in _candidates(photo.path, photo.orientation):
            matched = _matched(light, linear_from_srgb8(photo.pixels))
            if matched is not None:
                return matched
    except Exception:
        # The readers raise many classes of exceptions; the pixels were read before, and have all but the finest steps.
        return None
    return None


def _matched(light: Float32Array, expected: Float32Array) -> Float32Array | None:
    """Light with the exposure of the expected one; None if they are not the same picture."""
    if light.shape != expected.shape or not np.isfinite(light).all():
        return None
    light = np.maximum(light, np.float32(0))
    tones = (expected > 0.02) & (expected < 0.9) & (light > 0)
    if tones.any():
        light = light * np.float32(np.median(expected[tones] / light[tones]))
    shown, pixels = (srgb8_from_linear(values).astype(np.int16) for values in (light, expected))
    return light if np.abs(shown - pixels).mean() <= MOST_DIFFERENCE else None


def _candidates(path: Path, orientation: int) -> Iterator[Float32Array]:
    """The light of a file in its possible meanings: encoded or linear; nothing for one of 8 bits."""
    with path.open("rb") as stream:
        head = stream.read(32)
    with ExitStack() as files:
        tiff = tiff_content(path, files) if head.startswith(TIFF_MAGIC) else None
        if has_raw_magic(head) or (tiff is not None and (path.suffix.lower() in RAW_SUFFIXES or tiff.raw)):
            yield _three(raw_light(path, sys.maxsize).astype(np.float32) / np.float32(SIXTEEN_BIT_WHITE))
            return
        if head.startswith(EXR_MAGIC):
            file = files.enter_context(formats_module("OpenEXR", path, KIND).File(str(path)))
            yield _three(exr_light({name: channel.pixels for name, channel in file.channels().items()}, path, []))
            return
        if tiff is not None:
            samples = read_tiff(path, tiff.page, None).samples
        elif head.startswith(PNG_MAGIC) and head[PNG_DEPTH_AT] == DEEP_PNG:
            import cv2  # Pillow reads 8 bits of a 16-bit colour PNG

            samples = np.asarray(cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED))
            samples = samples if samples.ndim == 2 else samples[:, :, 2::-1]
        else:
            return
        if samples.dtype.itemsize > 1:
            white = 1.0 if np.issubdtype(samples.dtype, np.floating) else integer_white(samples, str(path), [])
            values = upright(_three(samples.astype(np.float32) / np.float32(white)), orientation)
            yield linear_from_srgb(values)
            yield values


def _three(values: NDArray[np.generic]) -> Float32Array:
    """(H, W, 3) from grey, RGB or RGBA."""
    colours = np.repeat(values[:, :, None], 3, axis=2) if values.ndim == 2 else values[:, :, :3]
    return np.ascontiguousarray(colours, dtype=np.float32)
