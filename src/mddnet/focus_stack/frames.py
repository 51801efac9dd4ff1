"""The frames of a stack from files: photos of one size, or frames of a video; unusable ones are named."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ExifTags import IFD

from mddnet.cores import worker_threads
from mddnet.errors import ImageError, MddnetError
from mddnet.focus_stack import Step
from mddnet.photo.reader import DAMAGED_EXIF, photo_header, read_photo
from mddnet.photo.video import frame_count, is_video, video_frames
from mddnet.scenes.frame_file import FrameFile
from mddnet.types import Float32Array, Lens, Photo, UInt8Array

MIN_FRAMES = 2
MAX_VIDEO_FRAMES = 40
SAME_SHAPE = 0.02  # largest difference of the aspect ratios of frames that are resized to one size
TAG_TAKEN, TAG_TAKEN_FRACTION = 0x9003, 0x9291


@dataclass(frozen=True, slots=True)
class StackFrame:
    """A frame as it was read."""

    name: str  # of its file, with its number in a video
    lens: Lens
    small: Float32Array = field(repr=False)  # luminance for registration
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that was not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class StackFrames:
    """The usable frames, in the order in which they were taken."""

    frames: tuple[StackFrame, ...]
    pixels: FrameFile
    left_out: tuple[LeftOut, ...]

    def chosen(self, numbers: Sequence[int], reason: str = "") -> StackFrames:
        """The frames of these numbers, in this order; the others are left out for a reason."""
        others = [LeftOut(frame.name, reason) for i, frame in enumerate(self.frames) if i not in set(numbers)]
        frames = tuple(self.frames[i] for i in numbers)
        return StackFrames(frames, self.pixels.chosen(numbers), (*self.left_out, *others))


def read_frames(
    paths: Sequence[Path],
    scratch: Path,
    lens: Lens | None = None,
    focus_m: Sequence[float | None] | None = None,
    threads: int = 1,
    step: Step = lambda name, done, count: None,
    sort: bool = True,
) -> StackFrames:
    """Read photos, or one video, into a file in the folder ``scratch``; MddnetError for fewer than two usable frames.

    The size of most frames is that of all: larger frames of the same shape are resized, others are left out. ``lens``
    has facts that replace those of the files, ``focus_m`` the focus distance of every photo. ``sort`` orders the photos
    by time, else by name; without it, the order of ``paths`` is kept.
    """
    if not paths:
        raise MddnetError("no photo; expected the photos of a focal stack, their folder, or a video")
    videos = [path for path in paths if is_video(path)]
    if videos:
        if len(paths) > 1:
            raise MddnetError(f"{videos[0]}: a video among {len(paths)} files; expected photos, or one video alone")
        if focus_m is not None:
            raise MddnetError(f"{videos[0]}: focus distances of a video; expected none, since its frames have no names")
        return _enough(*_from_video(videos[0], scratch, lens, step))
    if focus_m is not None and len(focus_m) != len(paths):
        raise MddnetError(f"{len(focus_m)} focus distances for {len(paths)} photos; expected one for each, in order")
    focus = dict(zip(paths, focus_m, strict=True)) if focus_m is not None else {}
    size, usable, left_out = _common_size(_in_time(paths) if sort else list(paths))
    file = FrameFile.new(scratch, len(usable), size)

    def read(numbered: tuple[int, Path]) -> StackFrame | LeftOut:
        number, path = numbered
        try:
            photo = read_photo(path, replace(lens or Lens(), focus_m=focus.get(path)) if focus else lens)
            photo = _of_size(photo, size)
        except ImageError as error:
            return LeftOut(path.name, _without_path(error, path))
        file.write(number, photo.pixels)
        return StackFrame(path.name, photo.lens, _registration_image(photo.pixels), photo.notes)

    found: list[StackFrame | LeftOut] = []
    with worker_threads(threads) as pool:
        for frame in pool.map(read, enumerate(usable)):
            found.append(frame)
            step("read", len(found), len(usable))
    numbers = [i for i, frame in enumerate(found) if isinstance(frame, StackFrame)]
    frames = tuple(frame for frame in found if isinstance(frame, StackFrame))
    left_out += [frame for frame in found if isinstance(frame, LeftOut)]
    return _enough(frames, file.chosen(numbers), left_out)


def _enough(frames: tuple[StackFrame, ...], pixels: FrameFile, left_out: list[LeftOut]) -> StackFrames:
    if len(frames) < MIN_FRAMES:
        raise _too_few(len(frames), left_out)
    return StackFrames(frames, pixels, tuple(left_out))


def _too_few(usable: int, left_out: Sequence[LeftOut]) -> MddnetError:
    lost = "".join(f"\n  left out: {frame.name}: {frame.reason}" for frame in left_out)
    return MddnetError(
        f"{usable} usable frame(s); expected at least {MIN_FRAMES} photos of one scene at different focus "
        f"distances (`mddnet predict` estimates depth from one photo){lost}"
    )


def _from_video(
    path: Path, scratch: Path, lens: Lens | None, step: Step
) -> tuple[tuple[StackFrame, ...], FrameFile, list[LeftOut]]:
    """Up to ``MAX_VIDEO_FRAMES`` frames, evenly spaced."""
    count = frame_count(path) or sum(1 for _ in video_frames(path))
    every = max(1, math.ceil(count / MAX_VIDEO_FRAMES))
    frames, file = list[StackFrame](), None
    for number, photo in enumerate(video_frames(path, lens)):
        step("read", number + 1, count)
        if number % every:
            continue
        height, width = photo.pixels.shape[:2]
        file = file or FrameFile.new(scratch, MAX_VIDEO_FRAMES + 1, (height, width))
        file.write(len(frames), photo.pixels)
        small = _registration_image(photo.pixels)
        frames.append(StackFrame(f"{path.name}, frame {number}", photo.lens, small, photo.notes))
    if file is None:
        raise ImageError(f"{path}: no frame in this video; copy it again")
    return tuple(frames), file.chosen(range(len(frames))), []


def _without_path(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _common_size(paths: Sequence[Path]) -> tuple[tuple[int, int], list[Path], list[LeftOut]]:
    """(H, W) of most frames (of the smaller ones in a tie), the frames that can have it, and those left out."""
    sizes, left_out = dict[Path, tuple[int, int]](), list[LeftOut]()
    for path in paths:
        if not path.is_file():
            left_out.append(LeftOut(path.name, f"no such file in {path.parent}"))
            continue
        try:
            header = photo_header(path, "copy it again", ImageError)
            sizes[path] = (header.height, header.width)
        except ImageError as error:
            left_out.append(LeftOut(path.name, _without_path(error, path)))
    if not sizes:
        raise _too_few(0, left_out)
    counts = Counter(sizes.values())
    height, width = min(counts, key=lambda size: (-counts[size], size[0] * size[1]))
    usable = []
    for path, (h, w) in sizes.items():
        if abs(w * height / (h * width) - 1) <= SAME_SHAPE and h >= height * (1 - SAME_SHAPE):
            usable.append(path)
        else:
            problem = f"{w} x {h} px; expected {width} x {height} px, like most frames: export all at one size"
            left_out.append(LeftOut(path.name, problem))
    return (height, width), usable, left_out


def _of_size(photo: Photo, size: tuple[int, int]) -> Photo:
    """A photo resized to (H, W), with the pitch of the new pixels."""
    height, width = photo.pixels.shape[:2]
    if (height, width) == size:
        return photo
    resized: UInt8Array = np.asarray(
        Image.fromarray(photo.pixels).resize(size[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0)
    )
    pitch = photo.lens.pixel_um
    lens = photo.lens if pitch is None else replace(photo.lens, pixel_um=pitch * width / size[1])
    name = "" if photo.path is None else f"{photo.path.name} was "
    note = f"{name}resized from {width} x {height} to {size[1]} x {size[0]} px, the size of most frames."
    return replace(photo, pixels=resized, lens=lens, notes=(*photo.notes, note))


def _in_time(paths: Sequence[Path]) -> list[Path]:
    """Photos by the time at which they were taken if all state it, else by name, numbers by their value."""
    times = [_taken(path) for path in paths]
    by_name = sorted(range(len(paths)), key=lambda i: _natural(paths[i].name))
    if not all(times):
        return [paths[i] for i in by_name]
    return [paths[i] for i in sorted(by_name, key=lambda i: times[i])]


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d+|\D+", name.lower())]


def _taken(path: Path) -> str:
    """EXIF's time in a form that sorts; "" without."""
    try:
        with Image.open(path) as image:
            tags = image.getexif().get_ifd(IFD.Exif)
    except (*DAMAGED_EXIF, Image.DecompressionBombError):
        return ""
    taken = str(tags.get(TAG_TAKEN, ""))
    return f"{taken}.{tags.get(TAG_TAKEN_FRACTION, 0)}" if re.match(r"\d{4}:\d\d:\d\d ", taken) else ""


def _registration_image(pixels: UInt8Array) -> Float32Array:
    from mddnet.scenes.align import registration_image  # of the extra build; results are read without it

    return registration_image(pixels)[0]
