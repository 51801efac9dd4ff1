"""The film of the previews of a video."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mddnet.io.part_file import writing_into
from mddnet.photo.video import frame_rate
from mddnet.predict.film import write_film
from mddnet.predict.output import FILM_SUFFIX, PREVIEW_SUFFIX, Staging, content_of, find_saved, save_staged
from mddnet.predict.preview import panel_size, sheet_size
from mddnet.types import UInt8Array

MOST_RATE = 60


def save_preview_film(path: Path, frames: Sequence[Path]) -> Path:
    """Write the film of a video's previews next to them, as ``clip.preview.mp4`` with its facts in ``clip.json``.

    An undamaged film of the same previews is kept. The previews of a video have one colour range; the words below them,
    which differ from frame to frame, are left out. ``frames`` are the facts files of its frames, in order. MddnetError
    if the film cannot be written.
    """
    folder, previews = frames[0].parent, [frame.with_suffix(PREVIEW_SUFFIX) for frame in frames]
    with writing_into(folder):
        state = _crc32_of(previews)
        earlier = find_saved(folder, path)
        if earlier is not None and earlier.previews_crc32 == state and earlier.intact(()):
            return earlier.path.with_name(earlier.path.stem + FILM_SUFFIX)
        size = json.loads(frames[0].read_text(encoding="utf-8"))
        sheet = sheet_size(panel_size((size["height_px"], size["width_px"])))
    rate = max(1, min(MOST_RATE, round(frame_rate(path))))
    facts = {"content": content_of(path), "frames": len(previews), "rate_hz": rate, "previews_crc32": state}

    def stage(staging: Staging) -> None:
        staging.put("film", FILM_SUFFIX, partial(write_film, frames=_pictures(previews, sheet), rate=rate))
        staging.put_facts(facts)

    return save_staged(folder, path.stem, str(path.resolve()), stage)["film"]


def _pictures(previews: Iterable[Path], sheet: tuple[int, int]) -> Iterator[UInt8Array]:
    """The previews without their words, with even sides."""
    width, height = (side // 2 * 2 for side in sheet)
    for path in previews:
        with Image.open(path) as picture:
            yield np.asarray(picture.convert("RGB").crop((0, 0, width, height)))


def _crc32_of(paths: Iterable[Path]) -> int:
    crc = 0
    for path in paths:
        crc = zlib.crc32(path.read_bytes(), crc)
    return crc
