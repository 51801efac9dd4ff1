"""The picture sheet of a comparison: a row per photo, a column per map of each method, in one JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mddnet.evaluate.cases import Case
from mddnet.evaluate.harness import Evaluation
from mddnet.scenes.small_pictures import PICTURE_WIDTH_PX, SmallPicture

MAX_ROWS = 24
GAP_PX = 8
TITLE_PX = 14
PAPER, INK = (255, 255, 255), (40, 40, 46)


def picture_sheet(evaluation: Evaluation) -> bytes | None:
    """JPEG of the photos that the report shows, each with truths and the maps of all methods; None without a photo."""
    cases: dict[tuple[str, str], Case] = {}
    for kind, result in evaluation.kinds.items():
        for worst, best in result.cases.values():
            for case in (*worst, *best):
                cases.setdefault((kind, case.name), case)
    rows = [(f"{case.name} ({case.place})", case.pictures) for case in list(cases.values())[:MAX_ROWS]]
    return None if not rows else _sheet(rows)


def _sheet(rows: list[tuple[str, tuple[SmallPicture, ...]]]) -> bytes:
    columns = max(len(pictures) for _, pictures in rows)
    heights = [max(picture.height for picture in pictures) + 2 * TITLE_PX + GAP_PX for _, pictures in rows]
    width = GAP_PX + columns * (PICTURE_WIDTH_PX + GAP_PX)
    sheet = Image.new("RGB", (width, sum(heights) + GAP_PX), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    top = GAP_PX
    for (name, pictures), height in zip(rows, heights, strict=True):
        draw.text((GAP_PX, top), _plain(name), fill=INK, font=font)
        for column, picture in enumerate(pictures):
            left = GAP_PX + column * (PICTURE_WIDTH_PX + GAP_PX)
            draw.text((left, top + TITLE_PX), _plain(picture.title)[:40], fill=INK, font=font)
            with Image.open(io.BytesIO(picture.jpeg)) as image:
                sheet.paste(Image.fromarray(np.asarray(image.convert("RGB"))), (left, top + 2 * TITLE_PX))
        top += height
    stream = io.BytesIO()
    sheet.save(stream, format="JPEG", quality=88)
    return stream.getvalue()


def _plain(words: str) -> str:
    """What the small built-in font can draw."""
    return words.encode("latin-1", "replace").decode("latin-1")
