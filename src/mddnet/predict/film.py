"""Films in MP4 files: H.264 by PyAV (extra ``formats``), or MPEG-4 by OpenCV."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mddnet.errors import MddnetError, install_hint
from mddnet.types import UInt8Array

BT709 = 1  # code of the colour space in ITU-T H.273
QUALITY = "17"  # constant rate factor of H.264; lower is better


def require_film() -> None:
    """MddnetError if no package that writes films is installed."""
    if find_spec("av") is None and find_spec("cv2") is None:
        raise MddnetError(f"a film needs the package av or cv2; {install_hint('formats')}")


def write_film(stream: BinaryIO, frames: Iterable[UInt8Array], rate: int) -> None:
    """Write frames, (h, w, 3) uint8 sRGB of one size with even sides, as MP4 with ``rate`` frames per second."""
    require_film()
    (_write_by_av if find_spec("av") is not None else _write_by_opencv)(stream, iter(frames), rate)


def _write_by_av(stream: BinaryIO, frames: Any, rate: int) -> None:
    import av

    has_h264 = "libx264" in av.codecs_available
    with av.open(stream, "w", format="mp4") as container:
        video: Any = None
        for pixels in frames:
            if video is None:
                video = container.add_stream("libx264" if has_h264 else "mpeg4", rate=rate)
                video.height, video.width = pixels.shape[:2]
                video.pix_fmt = "yuv420p"
                video.codec_context.colorspace = video.codec_context.color_primaries = BT709
                video.options = {"crf": QUALITY} if has_h264 else {"qscale": "2"}
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(video.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        if video is not None:
            container.mux(video.encode())


def _write_by_opencv(stream: BinaryIO, frames: Any, rate: int) -> None:
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        path, writer = Path(folder) / "film.mp4", None
        try:
            for pixels in frames:
                if writer is None:
                    code = cv2.VideoWriter.fourcc(*"mp4v")
                    writer = cv2.VideoWriter(str(path), code, rate, pixels.shape[1::-1])
                    if not writer.isOpened():
                        raise MddnetError(f"this OpenCV cannot write MP4; {install_hint('formats')}")
                writer.write(np.ascontiguousarray(pixels[:, :, ::-1]))
        finally:
            if writer is not None:
                writer.release()
        with path.open("rb") as film:
            shutil.copyfileobj(film, stream)
