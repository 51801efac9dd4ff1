"""Video files frame by frame, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mddnet.errors import ImageError, MddnetError
from mddnet.photo.colour_profile import srgb8_by_profile
from mddnet.photo.image_file import formats_module
from mddnet.photo.lens_facts import lens_of_tags
from mddnet.photo.made_profile import profile_of_code_points
from mddnet.photo.reader import ROTATIONS, upright
from mddnet.photo.samples import check_size
from mddnet.types import Lens, Photo

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm"}
)
OPEN_OPTIONS = {
    # A file that names other files (a playlist) must not cause reads of those.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg",
}
UNSPECIFIED = 2  # code for unspecified colours in ITU-T H.273
MOST_ASPECT = 4.0  # of a pixel; a ratio beyond this is damage
HD_HEIGHT_PX = 720  # a video without a stated colour space uses BT.709 from this height on, BT.601 below
MISSING_SHARE = 0.1
"""A file lacking more than this share of its stated frames is truncated; containers round their durations."""


def is_video(path: Path) -> bool:
    """Whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def frame_stem(path: Path, index: int) -> str:
    """Base name of a frame's outputs: ``clip.000123``; frames count from 0."""
    return f"{path.stem}.{index:06d}"


def video_frames(path: Path, lens: Lens | None = None, *, max_pixels: int | None = None) -> Iterator[Photo]:
    """The frames of a video in order, upright, 8-bit sRGB; ImageError after the last frame of a damaged one."""
    count = 0
    with _opened(path, max_pixels) as (container, stream):
        expected = _expected_frames(container, stream)
        try:
            for frame in container.decode(stream):
                check_size(frame.height, frame.width, str(path), max_pixels)
                yield _photo(frame, stream, path, lens)
                count += 1
        except (MddnetError, MemoryError):
            raise
        except Exception as error:
            # FFmpeg raises many classes of exceptions.
            raise ImageError(f"{path}: damaged after {count} frames ({error}); copy it again") from error
    if count < (1.0 - MISSING_SHARE) * expected:
        raise ImageError(f"{path}: ends after {count} of {expected} frames; copy it again")


def sampled_frames(
    path: Path, count: int, lens: Lens | None = None, *, max_pixels: int | None = None
) -> Iterator[Photo]:
    """Up to ``count`` frames spread evenly over a video, fewer if it is short or seeking fails."""
    with _opened(path, max_pixels) as (container, stream):
        duration_s = container.duration / 1e6 if container.duration else 0.0
        seen: set[float | None] = set()
        for number in range(count if duration_s > 0 else 1):
            at_s = (number + 0.5) / count * duration_s
            try:
                if duration_s > 0:
                    container.seek(int(at_s * 1e6))  # to the key frame before it
                found = None
                for frame in container.decode(stream):
                    check_size(frame.height, frame.width, str(path), max_pixels)
                    found = frame
                    if frame.time is None or frame.time >= at_s:
                        break
                photo = None if found is None or found.time in seen else _photo(found, stream, path, lens)
            except (MddnetError, MemoryError):
                raise
            except Exception:
                # FFmpeg raises many classes of exceptions.
                continue
            if photo is not None and found is not None:
                seen.add(found.time)
                yield photo


def frame_count(path: Path) -> int:
    """Number of frames that a video states; 0 if it does not; ImageError if it is not a usable video."""
    with _opened(path, None) as (container, stream):
        return _expected_frames(container, stream)


def frame_rate(path: Path) -> float:
    """Mean frames per second that a video states; 25 if it does not; ImageError if it is not a usable video."""
    with _opened(path, None) as (_, stream):
        return float(stream.average_rate or 25)


@contextmanager
def _opened(path: Path, max_pixels: int | None) -> Iterator[tuple[Any, Any]]:
    av = formats_module("av", path, "a video", "save its frames as JPEG")
    if not path.is_file():
        raise ImageError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; expected a video file")
    try:
        container = av.open(str(path), options=OPEN_OPTIONS)
    except Exception as error:
        # FFmpeg raises many classes of exceptions.
        raise ImageError(f"{path}: not a readable video ({error}); expected MP4, MOV, MKV, WebM or AVI") from error
    with container:
        if not container.streams.video or container.streams.video[0].codec_context is None:
            raise ImageError(f"{path}: has no video stream; expected a video")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        check_size(stream.codec_context.height, stream.codec_context.width, str(path), max_pixels)
        yield container, stream


def _expected_frames(container: Any, stream: Any) -> int:
    if stream.frames:
        return int(stream.frames)
    if container.duration and stream.average_rate:
        return round(container.duration / 1e6 * float(stream.average_rate))
    return 0


def _photo(frame: Any, stream: Any, path: Path, lens: Lens | None) -> Photo:
    space = None
    if frame.colorspace == UNSPECIFIED:
        space = "ITU709" if frame.height >= HD_HEIGHT_PX else "ITU601"
    pixels = frame.to_ndarray(format="rgb24", src_colorspace=space)
    notes: list[str] = []
    aspect = float(stream.sample_aspect_ratio or 1)
    if aspect != 1 and 1 / MOST_ASPECT <= aspect <= MOST_ASPECT:
        height, width = frame.height, frame.width
        size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        notes.append(f"Pixels of {aspect:.4g} times their height were made square: {width} x {height} px stored.")
    pixels = upright(pixels, _orientation(frame))
    codec = stream.codec_context
    primaries, transfer = codec.color_primaries or UNSPECIFIED, codec.color_trc or UNSPECIFIED
    profile = profile_of_code_points(int(primaries), int(transfer), notes)
    pixels = srgb8_by_profile(pixels, profile, False, str(path), notes)
    known = lens_of_tags({}, pixels.shape[1], pixels.shape[0], lens, notes)
    return Photo(pixels, known, path, tuple(notes))


def _orientation(frame: Any) -> int:
    """EXIF orientation of a frame by its display matrix: (x, y) goes to (a x + c y, b x + d y), by ISO/IEC 14496-12."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 1
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    exchanged = abs(b) + abs(c) > abs(a) + abs(d)
    row, column = (c, b) if exchanged else (d, a)
    rotation = (exchanged, -1 if row < 0 else 1, -1 if column < 0 else 1)
    return next(orientation for orientation, known in ROTATIONS.items() if known == rotation)
